//! Messages that code or a test puts into a running pipeline, one at a time or together.

use std::{num::NonZeroUsize, time::Duration};

use tokio::time::Instant;
use towpath::{
    Batcher, Flow, Ingress, IngressHandle, Outcome, Overflow, Processor, PushError, Source, Trigger,
};
use towpath_test::{Cue, Probe, Recorder, TestSource, check};

fn ingress(
    capacity: usize,
    overflow: Overflow,
) -> (
    Source<towpath::producer::IngressSource<u32>>,
    IngressHandle<u32>,
) {
    let (source, handle) = Ingress::new(NonZeroUsize::new(capacity).expect("not zero"), overflow);
    (Source::new("ingress", source), handle)
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_beside_another_source_is_acknowledged_like_the_rest() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let (pushed, handle) = ingress(4, Overflow::Wait);
    let recorder = Recorder::new();
    let running = Flow::from(source)
        .merge(Flow::from(pushed))
        .process(Processor::new(
            "handle",
            Cue::new().fail_when(|n| *n == 101).handler(),
        ))
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();

    assert!(handle.push_and_wait(100).await.unwrap().is_done());
    let failed = handle.push_and_wait(101).await.unwrap();
    assert!(matches!(failed, Outcome::Reject(cause) if cause.stage().as_str() == "handle"));
    handle.close();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(
        (
            outcomes.count("done"),
            report.counts.done,
            report.counts.rejected
        ),
        (10, 11, 1)
    );
    assert!(recorder.items().contains(&100));
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_obeys_the_capacity_of_a_pipeline_that_hangs() {
    let (pushed, handle) = ingress(4, Overflow::Reject);
    let recorder = Recorder::new().hang_on_batch(0);
    let pipeline = Flow::from(pushed).sink(recorder.sink("write"));
    let bound = pipeline.explain().bound();
    let running = pipeline.start().await.unwrap();

    let mut taken = 0_u64;
    let full = loop {
        match handle.try_push(7) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        // Time for the pipeline to take all it can.
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(matches!(full, PushError::QueueFull(7)));
    assert!(
        taken <= bound + 4,
        "{taken} were taken, the bound is {bound}"
    );
    recorder.release();
    handle.close();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.done, taken);
}

#[tokio::test(start_paused = true)]
async fn a_test_message_is_flushed_at_once_and_its_sender_is_told_the_outcome() {
    let (source, probe) = Probe::<u32>::new();
    let recorder = Recorder::new().fail_when(|n| *n == 2);
    let running = Flow::from(source)
        .flush_when(|_| true)
        .batch(Batcher::new("collect").max_wait(Duration::from_secs(3600)))
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();

    let begun = Instant::now();
    assert!(probe.send(1).await.is_done());
    assert_eq!(probe.send(2).await.word(), "rejected");
    assert!(begun.elapsed() < Duration::from_secs(1));
    let triggers: Vec<_> = recorder
        .batches()
        .iter()
        .map(|(_, info)| info.trigger)
        .collect();
    assert_eq!(triggers, [Trigger::Flush, Trigger::Flush]);
    drop(probe);
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn test_messages_together_wait_for_size_or_time_like_any_other() {
    let (source, probe) = Probe::<u32>::new();
    let recorder = Recorder::new();
    let running = Flow::from(source)
        .batch(
            Batcher::new("collect")
                .max_messages(4)
                .max_wait(Duration::from_secs(9)),
        )
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();

    let begun = Instant::now();
    let outcomes = probe.send_batch(0..6).await;
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_done()).count(),
        6
    );
    assert_eq!(begun.elapsed().as_secs(), 9);
    let batches: Vec<_> = recorder
        .batches()
        .iter()
        .map(|(items, info)| (items.len(), info.trigger))
        .collect();
    assert_eq!(batches, [(4, Trigger::Count), (2, Trigger::Age)]);
    drop(probe);
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_flush_mark_delivers_what_waits_before_it_too() {
    let (source, probe) = Probe::<u32>::new();
    let recorder = Recorder::new();
    let running = Flow::from(source)
        .flush_when(|n| *n == 3)
        .batch(Batcher::new("collect").max_wait(Duration::from_secs(3600)))
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();

    let begun = Instant::now();
    let outcomes = probe.send_batch(0..4).await;
    assert!(outcomes.iter().all(Outcome::is_done));
    assert!(begun.elapsed() < Duration::from_secs(1));
    let batches = recorder.batches();
    assert_eq!((batches.len(), batches[0].1.trigger), (1, Trigger::Flush));
    assert_eq!(batches[0].0, [0, 1, 2, 3]);
    drop(probe);
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn every_way_in_passes_the_same_operators_and_a_panic_there_fails_one_message() {
    let (pushed, handle) = ingress(4, Overflow::Wait);
    let (probed, probe) = Probe::<u32>::new();
    let recorder = Recorder::new();
    let running = Flow::from(pushed)
        .merge(Flow::from(probed))
        .map(|n| 100 / n)
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();

    assert!(handle.push_and_wait(5).await.unwrap().is_done());
    assert_eq!(handle.push_and_wait(0).await.unwrap().word(), "rejected");
    assert!(probe.send(10).await.is_done());
    assert_eq!(recorder.items(), [20, 10]);
    handle.close();
    drop(probe);
    let report = running.join().await.unwrap();
    check(&report);
    assert!(report.stages.iter().all(|stage| stage.counts.restarts == 0));
}
