//! Nobody is asked for more than somebody can take: what is in flight has a bound, and holds it.

mod in_hand;
mod topologies;

use std::{num::NonZeroUsize, time::Duration};

use tokio::time::{sleep, timeout};
use towpath::{Batcher, Ending, Flow, Ingress, Overflow, Processor, Source};
use towpath_test::{Cue, Recorder, TestSource, assert_no_leaks};

use crate::events::idle;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_source_is_never_asked_for_more_than_a_chunk_nor_while_nobody_can_take_it() {
    let (source, outcomes) = TestSource::new(0..100_000_u64).build();
    let recorder = Recorder::new().hang_on_batch(0);
    let pipeline = Flow::from(source)
        .process(Processor::new("work", Cue::new().handler()).unordered(4))
        .sink(recorder.sink("sink"))
        .max_demand(16);
    let running = pipeline.start().await.unwrap();
    recorder.wait_for_batches(1).await;
    idle().await;
    let stuck = running.handle().status();
    let asked = outcomes.demands().len();
    sleep(HOUR).await;
    assert_eq!(outcomes.demands().len(), asked, "not asked for an hour");
    assert!(stuck.counts.emitted <= stuck.bound, "{stuck:?}");
    recorder.release();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert!(
        outcomes
            .demands()
            .iter()
            .all(|demand| (1..=16).contains(demand))
    );
    assert_eq!(
        outcomes.count("done"),
        100_000,
        "nothing was dropped meanwhile"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_a_hundred_times_too_slow_holds_the_source_back_for_as_long_as_it_takes() {
    let (source, outcomes) = TestSource::new(0..u64::MAX).build();
    let recorder = Recorder::new().delay(Duration::from_millis(100));
    let cue = Cue::new().delay(Duration::from_millis(1));
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).unordered(16))
        .batch(Batcher::new("batch").max_messages(10))
        .sink(recorder.sink("sink"));
    let running = pipeline.start().await.unwrap();
    let bound = running.handle().status().bound;
    for _ in 0..10 {
        sleep(MINUTE).await;
        let counts = running.handle().status().counts;
        assert!(counts.in_flight <= bound, "{counts:?}");
    }
    assert_eq!(
        outcomes.count("done"),
        60_000 - 10,
        "600 seconds at 100 a second"
    );
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::Stopped);
    assert!(report.counts.high_water <= bound);
}

#[tokio::test(start_paused = true)]
async fn one_slow_message_of_an_ordered_stage_bounds_how_far_the_others_run_ahead() {
    let (source, _) = TestSource::new(0..1_000_000_u64).endless().build();
    let cue = Cue::new().hang_when(|n| *n == 0);
    let processor = Processor::new("work", cue.handler()).ordered(16);
    let pipeline = Flow::from(source)
        .process(processor)
        .acknowledge()
        .max_demand(8);
    let running = pipeline.start().await.unwrap();
    sleep(HOUR).await;
    let status = running.handle().status();
    assert!((2..=16).contains(&cue.calls()), "{} ran ahead", cue.calls());
    assert_eq!(status.counts.done, 0);
    assert!(status.counts.emitted <= status.bound, "{status:?}");
    cue.release();
    running.handle().drain();
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn one_slow_batch_bounds_how_far_the_source_is_read_ahead() {
    let (source, _) = TestSource::new(0..1_000_000_u64).endless().build();
    let recorder = Recorder::new().hang_on_batch(0);
    let pipeline = Flow::from(source)
        .batch(Batcher::new("batch").max_messages(128))
        .sink(recorder.sink("sink"));
    let bound = pipeline.explain().bound();
    let running = pipeline.start().await.unwrap();
    sleep(HOUR).await;
    let emitted = running.handle().status().counts.emitted;
    assert!(
        (128..=bound).contains(&emitted) && bound < 1000,
        "{emitted} of {bound}"
    );
    recorder.release();
    running.handle().drain();
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_dead_consumer_returns_its_credit_and_the_messages_it_had_not_started() {
    let (source, outcomes) = TestSource::new(0..500_u64).redelivering(3).build();
    let cue = Cue::new().hang_when(|n| *n == 0);
    let processor = Processor::new("work", cue.handler())
        .unordered(2)
        .workers(2);
    let pipeline = Flow::from(source)
        .process(processor)
        .acknowledge()
        .max_demand(50);
    let running = pipeline.start().await.unwrap();
    // All but the message that hangs: nothing unstarted waits behind it.
    timeout(MINUTE, outcomes.wait_for(499))
        .await
        .expect("the others went on");
    running.handle().kill_worker("work", 0).unwrap();
    running.handle().kill_worker("work", 1).unwrap();
    cue.release();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (outcomes.count("done"), outcomes.count("retried")),
        (500, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_demand_of_one_message_works_everywhere() {
    let (source, outcomes) = TestSource::new(0..200_u64).build();
    let (left, right) = (Recorder::new(), Recorder::new());
    let (to_left, to_right) = (left.sink("left"), right.sink("right"));
    let report = Flow::from(source)
        .map(|n| n)
        .process(
            Processor::new("first", Cue::new().handler())
                .unordered(8)
                .workers(4),
        )
        .flat_map(|n| [n, n])
        .process(Processor::new("second", Cue::new().handler()).by_key(3, |n| n % 5))
        .process(Processor::new("third", Cue::new().handler()).ordered(2))
        .route(
            "parity",
            |n| n % 2,
            |branches| {
                branches
                    .to(0, |even| {
                        even.batch(Batcher::new("batch").max_messages(7))
                            .sink(to_left)
                    })
                    .to(1, |odd| odd.sink(to_right))
            },
        )
        .max_demand(1)
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 200);
    assert_eq!((left.items().len(), right.items().len()), (200, 200));
    assert!(outcomes.demands().iter().all(|demand| *demand == 1));
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_messages_holds_over_the_whole_pipeline() {
    for budget in [1, 2, 7, 50] {
        let (source, outcomes) = TestSource::new(0..500_u64).build();
        let cue = Cue::new().delay_by(|n| Duration::from_millis(n % 7));
        let pipeline = Flow::from(source)
            .process(
                Processor::new("work", cue.handler())
                    .unordered(64)
                    .workers(2),
            )
            .batch(
                Batcher::new("batch")
                    .max_messages(20)
                    .max_wait(Duration::from_millis(5)),
            )
            .sink(Recorder::new().sink("sink"))
            .budget(budget);
        assert_eq!(pipeline.explain().bound(), budget);
        let report = pipeline.run().await.unwrap();
        assert_no_leaks(&report);
        assert_eq!((outcomes.count("done"), report.bound), (500, budget));
        assert_eq!(report.counts.high_water, budget, "it is used");
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_holds_over_many_sources_together_and_starves_none() {
    let sources = |n: u64| {
        let source = TestSource::new(0..100_u64)
            .named(format!("source {n}"))
            .chunk(9);
        let (source, outcomes) = source.build();
        (Flow::from(source), outcomes)
    };
    let (mut flow, first) = sources(0);
    let mut outcomes = vec![first];
    for n in 1..5 {
        let (next, told) = sources(n);
        flow = flow.merge(next);
        outcomes.push(told);
    }
    let (idle_source, _) = TestSource::<u64>::new([]).named("idle").endless().build();
    let cue = Cue::new().delay_by(|n| Duration::from_millis(n % 7));
    let pipeline = flow
        .merge(Flow::from(idle_source))
        .process(Processor::new("work", cue.handler()).unordered(64))
        .acknowledge()
        .budget(10);
    let running = pipeline.start().await.unwrap();
    for told in &outcomes {
        timeout(HOUR, told.wait_for(100))
            .await
            .expect("none starves");
    }
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((report.counts.done, report.counts.high_water), (500, 10));
}

#[tokio::test(start_paused = true)]
async fn a_budget_holds_for_what_a_source_hands_out_while_it_drains() {
    let (ingress, handle) = Ingress::new(NonZeroUsize::new(1000).unwrap(), Overflow::Reject);
    let cue = Cue::new().delay(Duration::from_millis(1));
    let pipeline = Flow::from(Source::new("ingress", ingress))
        .process(Processor::new("work", cue.handler()).unordered(64))
        .acknowledge()
        .budget(3);
    let running = pipeline.start().await.unwrap();
    running.handle().pause();
    for n in 0..1000_u64 {
        handle.try_push(n).unwrap();
    }
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((report.counts.done, report.counts.high_water), (1000, 3));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_outstanding_messages_of_a_source_are_unsettled() {
    let (source, outcomes) = TestSource::new(0..300_u64).build();
    let source = source.max_outstanding(NonZeroUsize::new(10).unwrap());
    let cue = Cue::new().delay(Duration::from_millis(1));
    let report = Flow::from(source)
        .process(Processor::new("work", cue.handler()).unordered(64))
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (outcomes.count("done"), report.counts.high_water),
        (300, 10)
    );
}

#[tokio::test(start_paused = true)]
async fn letters_on_their_way_are_part_of_the_bound() {
    let (source, outcomes) = TestSource::new(0..5000_u64).build();
    let cue = Cue::new().fail_when(|_| true);
    let letters = Recorder::new().delay(Duration::from_millis(10));
    let report = Flow::from(source)
        .process(
            Processor::new("work", cue.handler())
                .unordered(16)
                .workers(4),
        )
        .acknowledge()
        .dead_letter(letters.sink("letters"))
        .max_demand(4)
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (outcomes.count("rejected"), letters.items().len()),
        (5000, 5000)
    );
}

#[tokio::test(start_paused = true)]
async fn the_bound_that_is_explained_is_the_one_that_is_reported() {
    let (source, _) = TestSource::new(0..100_u64).build();
    let pipeline = Flow::from(source)
        .process(
            Processor::new("work", Cue::new().handler())
                .unordered(9)
                .workers(3),
        )
        .batch(Batcher::new("batch").max_messages(20))
        .sink(Recorder::new().sink("sink").workers(2))
        .max_demand(10);
    let explained = pipeline.explain();
    // Links: (1 + 3 + 2) and (3 + 1 + 2) chunks of 10, 2 batches of 20. Stages: 10 of the
    // source, 3 workers of 10, and 2 batches of 20 in the batcher.
    assert_eq!(explained.bound(), 60 + 60 + 40 + 10 + 30 + 40);
    assert!(
        explained
            .to_string()
            .contains("bound      240 messages in flight")
    );
    let running = pipeline.start().await.unwrap();
    assert_eq!(running.handle().status().bound, 240);
    assert_eq!(running.handle().explain().bound(), 240);
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.bound, 240);
}
