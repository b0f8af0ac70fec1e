//! Stops and drops at any moment: every message has one outcome.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use tokio::time::{sleep, timeout};
use towpath::{Batcher, BoxError, Ending, Flow, Processor, find};
use towpath_test::{Cue, Recorder, TestSource, check};

use crate::events::Dice;

use super::SECOND;

/// Stops a pipeline after a while, with little time or much.
async fn stopped_anywhere(seed: u64) {
    let mut dice = Dice::new(seed);
    let (source, outcomes) = TestSource::new(0..300_u64).endless().build();
    let cue = Cue::new()
        .delay_by(|n| Duration::from_millis(n % 11))
        .fail_when(|n| n % 13 == 0)
        .hang_when(move |n| seed.is_multiple_of(3) && n % 50 == 49);
    let recorder = Recorder::new().delay(Duration::from_millis(3));
    let letters = Recorder::new().delay(Duration::from_millis(1));
    let pipeline = Flow::from(source)
        .process(
            Processor::new("work", cue.handler())
                .unordered(8)
                .workers(2),
        )
        .flat_map(|n| [n, n])
        .batch(
            Batcher::new("batch")
                .max_messages(9)
                .max_wait(Duration::from_millis(7)),
        )
        .sink(recorder.sink("sink").workers(2))
        .dead_letter(letters.sink("letters"))
        .max_demand(usize::try_from(1 + dice.below(20)).unwrap());
    let running = pipeline.start().await.unwrap();
    sleep(Duration::from_micros(dice.below(60_000))).await;
    running
        .handle()
        .drain_within(Duration::from_micros(dice.below(30_000)));
    let ended = timeout(60 * SECOND, running.join()).await;
    let report = ended
        .unwrap_or_else(|_| panic!("seed {seed}: does not end"))
        .unwrap();
    check(&report);
    let ended_well = report.ending == Ending::Stopped;
    assert_eq!(report.exit_code() == 0, ended_well, "seed {seed}: {report}");
    assert_eq!(
        outcomes.total() as u64,
        report.counts.emitted,
        "seed {seed}: all are told"
    );
    assert_eq!(
        report.left > 0,
        report.counts.retried > 0,
        "seed {seed}: {report}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_any_moment_leaves_every_message_with_one_outcome() {
    for seed in 0..200 {
        stopped_anywhere(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_real_threads_too_a_stop_at_any_moment_leaves_every_message_with_one_outcome() {
    for seed in 0..20 {
        stopped_anywhere(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_real_threads_too_dropping_a_pipeline_leaves_nothing_in_flight() {
    for round in 0..50_u64 {
        let (source, outcomes) = TestSource::new(0..10_000_u64).endless().build();
        let yields = |n: u64| async move {
            tokio::task::yield_now().await;
            Ok::<_, BoxError>(n)
        };
        let pipeline = Flow::from(source)
            .process(Processor::new("work", yields).unordered(8).workers(2))
            .batch(Batcher::new("batch").max_messages(3))
            .sink(Recorder::new().sink("sink"));
        let running = pipeline.start().await.unwrap();
        let handle = running.handle().clone();
        outcomes.wait_for(usize::try_from(round * 7).unwrap()).await;
        drop(running);
        timeout(60 * SECOND, handle.stopped())
            .await
            .expect("those who wait learn it");
        assert_eq!(handle.status().counts.in_flight, 0, "round {round}");
        assert!(find(handle.name().as_str()).is_none(), "round {round}");
    }
}
