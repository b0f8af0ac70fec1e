//! What waits before a stage, and what it asks for.

use tokio::time::sleep;
use towpath::{Batcher, Flow, Pipeline, Processor, Status, core::QueueStatus};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::{ms, stage};

type Building = fn(&Cue<u64>) -> Pipeline;

fn source() -> towpath::Source<towpath_test::TestProducer<u64>> {
    TestSource::new(0..100_000_u64).chunk(50).build().0
}

/// Every message is in a queue or at work in a stage: nothing is between them.
fn all_are_somewhere(status: &Status, per_bundle: u64) {
    let held = status.stages.iter().map(|stage| {
        let depth = stage.queue.map_or(0, |queue| queue.depth);
        let per_item = if stage.kind == "sink" { per_bundle } else { 1 };
        stage.in_flight + depth * per_item
    });
    assert_eq!(held.sum::<u64>(), status.counts.in_flight, "{status:#?}");
}

#[tokio::test(start_paused = true)]
async fn every_message_in_flight_is_at_work_or_in_a_queue() {
    let pipelines: [Building; 7] = [
        |cue| {
            let hangs = Processor::new("hangs", cue.handler()).unordered(1);
            Flow::from(source()).process(hangs).acknowledge()
        },
        |cue| {
            let hangs = Processor::new("hangs", cue.handler()).unordered(100);
            Flow::from(source()).process(hangs).acknowledge()
        },
        |cue| {
            let hangs = Processor::new("hangs", cue.handler());
            let flow = Flow::from(source());
            flow.process(hangs.unordered(7).workers(3)).acknowledge()
        },
        |cue| {
            let flow = Flow::from(source()).filter("no third", |n| n % 3 == 0);
            let hangs = Processor::new("hangs", cue.handler());
            flow.process(hangs.unordered(2)).acknowledge()
        },
        |cue| {
            let hangs = Processor::new("hangs", cue.handler()).ordered(5);
            Flow::from(source()).process(hangs).acknowledge()
        },
        |cue| {
            let hangs = Processor::new("hangs", cue.handler()).by_key(5, |n| n % 9);
            Flow::from(source()).process(hangs).acknowledge()
        },
        |cue| {
            let before = Processor::new("before", Cue::new().handler());
            let hangs = Processor::new("hangs", cue.handler());
            let flow = Flow::from(source()).process(before.unordered(3).workers(2));
            flow.process(hangs).acknowledge()
        },
    ];
    for build in pipelines {
        let cue = Cue::new().hang_when(|n| *n != 1_000_000);
        let running = build(&cue).start().await.unwrap();
        sleep(ms(1000)).await;
        let status = running.handle().status();
        all_are_somewhere(&status, 1);
        assert!(status.counts.in_flight > 100);
        let queue = stage(&status, "hangs").queue.unwrap();
        assert_eq!(queue.demand, 0, "a queue that is full asks for nothing");
        running.handle().drain_within(ms(10));
        check(&running.join().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_is_waited_for_in_batches() {
    let recorder = Recorder::new().hang_on_batch(0);
    let running = Flow::from(source())
        .batch(Batcher::new("collect").max_messages(10))
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();
    sleep(ms(1000)).await;
    let status = running.handle().status();
    all_are_somewhere(&status, 10);
    let write = stage(&status, "write");
    let mut expected = QueueStatus::default();
    (expected.depth, expected.capacity) = (1, 2);
    assert_eq!((write.queue, write.in_flight), (Some(expected), 10));
    recorder.release();
    running.handle().drain_within(ms(10_000));
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_idle_stage_asks_for_all_that_its_link_holds() {
    let (source, _) = TestSource::new(0..3_u64).endless().build();
    let running = Flow::from(source)
        .process(Processor::new("idles", Cue::new().handler()).workers(1))
        .acknowledge()
        .start()
        .await
        .unwrap();
    sleep(ms(1000)).await;
    let status = running.handle().status();
    let queue = stage(&status, "idles").queue.unwrap();
    assert_eq!((queue.depth, queue.demand), (0, queue.capacity));
    assert_eq!(
        queue.capacity,
        4 * 64,
        "a chunk in each hand, two on the way"
    );
    running.handle().drain();
    check(&running.join().await.unwrap());
    let ended = stage(&status, "idles").counts;
    assert_eq!((ended.received, ended.sent), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn letters_that_cannot_be_written_are_in_flight_and_tried_again() {
    let (source, _) = TestSource::of(0..10_u64);
    let letters = Recorder::new().error_on_batch(0);
    let failing = Cue::new().fail_when(|_| true);
    let report = Flow::from(source)
        .process(Processor::new("fails", failing.handler()))
        .acknowledge()
        .dead_letter(letters.sink("letters"))
        .run()
        .await
        .unwrap();
    check(&report);
    let counts = super::reported(&report, "letters").counts;
    assert_eq!((counts.received, counts.sent, counts.failed), (10, 10, 0));
    assert!(counts.retried > 0);
}
