//! Workers that die at random: all credit comes back, and every message is done.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Barrier, watch},
    time::{sleep, timeout},
};
use towpath::{Batcher, BoxError, Ending, Flow, PipelineHandle, Processor, Restarts};
use towpath_test::{Cue, Outcomes, Recorder, TestSource, assert_no_leaks};

use crate::events::Dice;

use super::MINUTE;

fn many() -> Restarts {
    Restarts::at_most(1000, Duration::from_millis(1))
}

const NORMAL: u64 = 400;
const ENOUGH: usize = 300;
const AFTER: u64 = 64;
const SLOTS: usize = 8;

/// Kills a worker here and there until `enough` messages are done.
async fn kill_at_random(handle: &PipelineHandle, outcomes: &Outcomes, dice: &mut Dice) {
    let stages = ["source", "first", "second", "batch", "sink"];
    while outcomes.count("done") < ENOUGH {
        for _ in 0..=dice.below(4) {
            let pick = usize::try_from(dice.below(stages.len() as u64)).unwrap();
            let worker = usize::try_from(dice.below(4)).unwrap();
            handle.kill_worker(stages[pick], worker).unwrap();
        }
        sleep(Duration::from_millis(dice.below(9))).await;
    }
}

/// Tells how many messages came back.
async fn credit_comes_back(seed: u64) -> usize {
    let mut dice = Dice::new(seed);
    let source = TestSource::new(0..NORMAL + AFTER).redelivering(10_000);
    let (source, outcomes) = source.build();
    let (calm, over) = watch::channel(false);
    let barrier = Arc::new(Barrier::new(SLOTS));
    let second = move |n: u64| {
        let (barrier, mut over) = (barrier.clone(), over.clone());
        async move {
            sleep(Duration::from_millis(n % 5)).await;
            if n >= NORMAL {
                over.wait_for(|over| *over).await?;
                barrier.wait().await;
            }
            Ok::<_, BoxError>(n)
        }
    };
    let first = Cue::new().delay_by(|n: &u64| Duration::from_millis(n % 3));
    let recorder = Recorder::new().delay(Duration::from_millis(2));
    let batcher = Batcher::new("batch")
        .max_messages(7)
        .max_wait(Duration::from_millis(20));
    let pipeline = Flow::from(source)
        .map(|n| n)
        .process(
            Processor::new("first", first.handler())
                .unordered(8)
                .workers(4),
        )
        .map(|n| n)
        .process(Processor::new("second", second).unordered(SLOTS).workers(4))
        .batch(batcher)
        .sink(recorder.sink("sink").workers(2))
        .max_demand(usize::try_from(1 + dice.below(16)).unwrap())
        .restarts(many());
    let running = pipeline.start().await.unwrap();
    kill_at_random(running.handle(), &outcomes, &mut dice).await;
    calm.send_replace(true);
    let status = running.handle().clone();
    let Ok(report) = timeout(MINUTE, running.join()).await else {
        panic!(
            "seed {seed}: does not reach its concurrency again: {:#?}",
            status.status()
        );
    };
    let report = report.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::Finished, "seed {seed}");
    let done = u64::try_from(outcomes.count("done")).unwrap();
    assert_eq!(done, NORMAL + AFTER, "seed {seed}");
    assert_eq!(report.left, 0, "seed {seed}");
    outcomes.count("retried")
}

/// How many seeds to try; the environment asks for more at night.
fn seeds() -> u64 {
    let asked = std::env::var("TOWPATH_SEEDS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(40)
}

#[tokio::test(start_paused = true)]
async fn after_any_deaths_all_credit_is_there_again_and_every_message_is_done() {
    let mut came_back = 0;
    for seed in 0..seeds() {
        println!("seed {seed}");
        came_back += credit_comes_back(seed).await;
    }
    assert!(came_back > 1000, "{came_back}: hardly anybody died");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_real_threads_too_all_credit_comes_back_after_any_deaths() {
    for seed in 0..seeds() / 4 {
        println!("seed {seed}");
        credit_comes_back(seed).await;
    }
}
