//! Pipelines that other code pushes into: what happens when it pushes too much, or too late.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{num::NonZeroUsize, time::Duration};

use tokio::time::{Instant, sleep, timeout};
use towpath::{
    Batcher, Flow, Ingress, IngressHandle, Outcome, Overflow, Processor, PushError, Running, Source,
};
use towpath_test::{Cue, Recorder, assert_no_leaks};

use crate::events::idle;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// A pipeline in which the first message hangs until the cue is released; nothing is taken
/// beyond it.
async fn stuck(capacity: usize, overflow: Overflow) -> (Running, IngressHandle<u64>, Cue<u64>) {
    let capacity = NonZeroUsize::new(capacity).unwrap();
    let (source, handle) = Ingress::new(capacity, overflow);
    let cue = Cue::new().hang_when(|n| *n == 0);
    let pipeline = Flow::from(Source::new("ingress", source))
        .process(Processor::new("work", cue.handler()).ordered(1))
        .acknowledge()
        .budget(1);
    let running = pipeline.start().await.unwrap();
    handle.push(0).await.unwrap();
    cue.wait_for(1).await;
    (running, handle, cue)
}

async fn ends(running: Running) -> towpath::Report {
    let report = timeout(HOUR, running.join())
        .await
        .expect("it ends")
        .unwrap();
    assert_no_leaks(&report);
    report
}

#[tokio::test(start_paused = true)]
async fn what_is_pushed_goes_through_in_order_and_the_end_is_when_all_handles_are_gone() {
    let (source, handle) = Ingress::new(NonZeroUsize::new(4).unwrap(), Overflow::Wait);
    let recorder = Recorder::new();
    let flow = Flow::from(Source::new("ingress", source));
    let running = flow.sink(recorder.sink("sink")).start().await.unwrap();
    let other = handle.clone();
    for n in 0..50 {
        handle.push(n).await.unwrap();
        other.push(n + 1000).await.unwrap();
    }
    drop(handle);
    idle().await;
    assert!(towpath::find(running.handle().name().as_str()).is_some());
    drop(other);
    let report = ends(running).await;
    assert_eq!(report.counts.done, 100);
    let expected: Vec<u64> = (0..50).flat_map(|n| [n, n + 1000]).collect();
    assert_eq!(recorder.items(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_full_ingress_that_waits_holds_the_pusher_until_there_is_room() {
    let (running, handle, cue) = stuck(2, Overflow::Wait).await;
    handle.push(1).await.unwrap();
    handle.push(2).await.unwrap();
    assert!(matches!(handle.try_push(3), Err(PushError::QueueFull(3))));
    let pushed = timeout(SECOND, handle.push(3)).await;
    assert!(pushed.is_err(), "it waits");
    cue.release();
    handle.push(3).await.unwrap();
    handle.close();
    assert_eq!(ends(running).await.counts.done, 4);
    assert_eq!(cue.starts(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_full_ingress_that_rejects_gives_the_message_back() {
    let (running, handle, cue) = stuck(2, Overflow::Reject).await;
    handle.push(1).await.unwrap();
    handle.push(2).await.unwrap();
    let refused = handle.push(3).await.unwrap_err();
    assert_eq!(refused.to_string(), "the ingress is full");
    assert_eq!(refused.into_inner(), 3);
    cue.release();
    handle.close();
    assert_eq!(ends(running).await.counts.done, 3);
    assert_eq!(handle.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_ingress_that_drops_the_oldest_counts_it_and_tells_its_pusher() {
    let (running, handle, cue) = stuck(2, Overflow::DropOldest).await;
    let pusher = handle.clone();
    let oldest = beside(async move { pusher.push_and_wait(1).await.unwrap() });
    idle().await;
    handle.push(2).await.unwrap();
    handle.push(3).await.unwrap();
    assert!(matches!(oldest.await, Outcome::Drop(reason) if reason.as_str() == "overflow"));
    cue.release();
    handle.close();
    ends(running).await;
    assert_eq!((cue.starts(), handle.dropped()), (vec![0, 2, 3], 1));
}

#[tokio::test(start_paused = true)]
async fn a_full_ingress_that_drops_the_newest_counts_it_and_tells_its_pusher() {
    let (running, handle, cue) = stuck(2, Overflow::DropNewest).await;
    handle.push(1).await.unwrap();
    handle.push(2).await.unwrap();
    let newest = handle.push_and_wait(3).await.unwrap();
    assert!(matches!(newest, Outcome::Drop(reason) if reason.as_str() == "overflow"));
    cue.release();
    handle.close();
    ends(running).await;
    assert_eq!((cue.starts(), handle.dropped()), (vec![0, 1, 2], 1));
}

#[tokio::test(start_paused = true)]
async fn the_pusher_learns_the_outcome_of_each_message() {
    let (source, handle) = Ingress::new(NonZeroUsize::new(10).unwrap(), Overflow::Wait);
    let cue = Cue::new()
        .fail_when(|n| *n == 1_u64)
        .drop_when(|n| *n == 2)
        .retry_when(|n| *n == 3);
    let pipeline = Flow::from(Source::new("ingress", source))
        .process(Processor::new("work", cue.handler()))
        .flush_when(|_| true)
        .batch(Batcher::new("batch").max_wait(HOUR))
        .sink(Recorder::new().sink("sink"));
    let running = pipeline.start().await.unwrap();
    let begun = Instant::now();
    let mut words = Vec::new();
    for n in 0..4 {
        words.push(handle.push_and_wait(n).await.unwrap().word());
    }
    assert_eq!(words, ["done", "rejected", "dropped", "retried"]);
    assert_eq!(begun.elapsed(), Duration::ZERO, "each flushed its batch");
    handle.close();
    ends(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_takes_what_was_accepted_and_refuses_what_comes_later() {
    let (running, handle, cue) = stuck(100, Overflow::Reject).await;
    for n in 1..100 {
        handle.push(n).await.unwrap();
    }
    running.handle().drain();
    idle().await;
    assert!(matches!(
        handle.push(100).await,
        Err(PushError::Stopped(100))
    ));
    cue.release();
    let report = ends(running).await;
    assert_eq!((report.counts.done, handle.abandoned()), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_its_deadline_tells_every_pusher_that_its_message_is_given_back() {
    let (running, handle, cue) = stuck(10, Overflow::Wait).await;
    let mut pushers = Vec::new();
    for n in 1..20 {
        let pusher = handle.clone();
        pushers.push(beside(async move { pusher.push_and_wait(n).await }));
    }
    idle().await;
    running.handle().stop(SECOND).await;
    let (mut given_back, mut refused) = (0, 0);
    for pusher in pushers {
        match timeout(HOUR, pusher).await.expect("it is told") {
            Ok(Outcome::Retry { .. }) => given_back += 1,
            Err(PushError::Stopped(_)) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((given_back + refused, cue.calls()), (19, 1));
    assert!(refused > 0, "some never got in");
    ends(running).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_the_pipeline_tells_every_pusher() {
    let (running, handle, _cue) = stuck(10, Overflow::Wait).await;
    let pusher = handle.clone();
    let waiting = beside(async move { pusher.push_and_wait(1).await });
    idle().await;
    drop(running);
    let told = timeout(HOUR, waiting).await.expect("it is told");
    assert!(matches!(told, Ok(Outcome::Retry { .. })), "{told:?}");
    sleep(SECOND).await;
    assert!(matches!(handle.push(2).await, Err(PushError::Stopped(2))));
}

/// A task beside the test, ended with it.
fn beside<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(task);
    async move { tasks.join_next().await.unwrap().unwrap() }
}
