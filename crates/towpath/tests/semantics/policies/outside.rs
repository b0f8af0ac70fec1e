//! Layers outside of the policies, and how each policy is doing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::time::sleep;
use tower::{layer::layer_fn, limit::ConcurrencyLimitLayer, util::MapRequestLayer};
use towpath::{
    BoxError, CircuitBreaker, Deadline, Dedup, Fallback, Flow, Hedge, Jitter, Outcome, Pipeline,
    PolicyStatus, Processor, RateLimit, Retry,
    core::Stage,
    policy::{
        DedupStore,
        dedup::{Claim, Claimed},
    },
};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::limiting::{SECOND, ms};

fn retry(attempts: u32) -> Retry {
    Retry::fixed(ms(100))
        .jitter(Jitter::None)
        .attempts(attempts)
        .budget_at_least(1000)
}

/// Counts the calls that go through.
fn counting(calls: &Arc<AtomicUsize>) -> MapRequestLayer<impl Fn(u64) -> u64 + Clone + use<>> {
    let calls = calls.clone();
    MapRequestLayer::new(move |n| {
        calls.fetch_add(1, SeqCst);
        n
    })
}

#[tokio::test(start_paused = true)]
async fn a_layer_outside_sees_each_message_once_and_a_layer_each_attempt() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let (inside, outside) = (Arc::default(), Arc::default());
    let cue = Cue::new().fail_when(|_| true);
    let report = Flow::from(source)
        .process(
            Processor::new("call", cue.handler())
                .layer(counting(&inside))
                .layer_outside(counting(&outside))
                .retry(retry(3)),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!((inside.load(SeqCst), outside.load(SeqCst)), (30, 10));
    assert_eq!(outcomes.count("rejected"), 10);
}

#[tokio::test(start_paused = true)]
async fn a_layer_outside_of_chunks_sees_each_chunk_once() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let (inside, outside) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let count = |calls: &Arc<AtomicUsize>| {
        let calls = calls.clone();
        MapRequestLayer::new(move |chunk: Vec<u64>| {
            calls.fetch_add(1, SeqCst);
            chunk
        })
    };
    let fails = |_: Vec<u64>| ready(Err::<Vec<Result<u64, BoxError>>, BoxError>("down".into()));
    let report = Flow::from(source)
        .process(
            Processor::chunk("call", fails)
                .layer_outside(count(&outside))
                .retry(retry(3))
                .layer(count(&inside)),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(inside.load(SeqCst), 3 * outside.load(SeqCst));
    assert_eq!(outcomes.count("rejected"), 10);
}

#[tokio::test(start_paused = true)]
async fn a_layer_outside_of_a_stage_without_policies_is_a_layer() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let (calls, cue) = (Arc::default(), Cue::new().fail_when(|n| *n == 7));
    let report = Flow::from(source)
        .process(Processor::new("call", cue.handler()).layer_outside(counting(&calls)))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(
        (calls.load(SeqCst), cue.calls(), cue.max_running()),
        (10, 10, 1)
    );
    assert_eq!(
        (outcomes.count("done"), outcomes.only(7).word()),
        (9, "rejected")
    );
}

#[tokio::test(start_paused = true)]
async fn all_workers_share_what_the_service_of_a_layer_outside_keeps() {
    let (source, outcomes) = TestSource::of(0..100_u64);
    let cue = Cue::new().delay(ms(10));
    let report = Flow::from(source)
        .process(
            Processor::new("call", cue.handler())
                .layer_outside(ConcurrencyLimitLayer::new(2))
                .retry(retry(3))
                .unordered(32)
                .workers(4),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!((outcomes.count("done"), cue.max_running()), (100, 2));
}

#[test]
fn layers_outside_are_shown_outermost_first_before_the_policies() {
    let named = || layer_fn(|service| service);
    let stage = Processor::new("call", |n: u64| async move { Ok::<_, BoxError>(n) })
        .layer_outside(named())
        .timeout(SECOND)
        .layer(tower::layer::util::Identity::new())
        .layer_outside(ConcurrencyLimitLayer::new(2))
        .deadline(SECOND * 9);
    let notes = Stage::<u64>::info(&stage).notes.join(" > ");
    let notes: Vec<_> = notes.split(" > ").collect();
    let places = [
        "unordered",
        "layer ConcurrencyLimitLayer outside",
        "layer LayerFn outside",
        "deadline 9s",
        "1s",
        "layer Identity",
    ];
    assert_eq!(notes.len(), places.len(), "{notes:?}");
    for (note, place) in notes.iter().zip(places) {
        assert!(note.contains(place), "{note} is not {place} in {notes:?}");
    }
}

/// The policies of the stage `call` when all is done.
async fn statuses(pipeline: Pipeline) -> Vec<PolicyStatus> {
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    check(&running.join().await.unwrap());
    handle.policies("call").unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_stage_has_all_its_policies_outermost_first() {
    let (source, _) = TestSource::of(0..3_u64);
    let stage = Processor::new("call", Cue::new().handler())
        .rate_limit(RateLimit::per_second(5))
        .timeout(SECOND)
        .circuit_breaker(CircuitBreaker::failure_rate(0.5))
        .retry(retry(3))
        .hedge(Hedge::after(SECOND))
        .fallback(Fallback::value(7_u64))
        .dedup(Dedup::by_key(|n: &u64| *n))
        .deadline(SECOND * 9);
    let statuses = statuses(Flow::from(source).process(stage).acknowledge()).await;
    let words: Vec<_> = statuses.iter().map(PolicyStatus::policy).collect();
    let places = [
        "deadline",
        "dedup",
        "fallback",
        "hedge",
        "retry",
        "circuit breaker",
        "rate limit",
        "concurrency",
        "timeout",
    ];
    assert_eq!(words, places);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_tells_how_many_calls_it_cut_short() {
    let (source, _) = TestSource::of(0..20_u64);
    let cue = Cue::new().hang_when(|n| n % 4 == 0);
    let stage = Processor::new("call", cue.handler()).deadline(Deadline::after(SECOND));
    let statuses = statuses(Flow::from(source).process(stage).acknowledge()).await;
    let after = SECOND;
    assert_eq!(statuses[0], PolicyStatus::Deadline { after, exceeded: 5 });
}

#[tokio::test(start_paused = true)]
async fn a_dedup_tells_how_many_keys_it_has_and_how_many_duplicates_there_were() {
    let (source, _) = TestSource::of((0..100_u64).map(|n| n % 30));
    let stage = Processor::new("call", Cue::new().handler()).dedup(Dedup::by_key(|n: &u64| *n));
    let statuses = statuses(Flow::from(source).process(stage).acknowledge()).await;
    let (keys, duplicates) = (30, 70);
    assert_eq!(statuses[0], PolicyStatus::Dedup { keys, duplicates });
}

#[tokio::test(start_paused = true)]
async fn a_fallback_and_a_hedge_tell_how_often_they_helped() {
    let (source, _) = TestSource::of(0..10_u64);
    let calls = Arc::new(AtomicUsize::new(0));
    // Each second call answers at once: of the first two the hedge wins, then all fail.
    let handle = move |n: u64| {
        let call = calls.fetch_add(1, SeqCst);
        async move {
            if call.is_multiple_of(2) && call < 4 {
                sleep(SECOND).await;
            }
            if call < 4 {
                Ok(n)
            } else {
                Err(BoxError::from("down"))
            }
        }
    };
    let stage = Processor::new("call", handle)
        .hedge(Hedge::after(ms(10)))
        .fallback(Fallback::value(7_u64))
        .unordered(1);
    let statuses = statuses(Flow::from(source).process(stage).acknowledge()).await;
    assert_eq!(statuses[0], PolicyStatus::Fallback { used: 8 });
    assert_eq!(statuses[1], PolicyStatus::Hedge { hedged: 2, won: 2 });
}

#[tokio::test(start_paused = true)]
async fn two_stages_with_the_same_fallback_count_apart() {
    let (source, _) = TestSource::of(0..10_u64);
    let fallback = Fallback::value(7_u64);
    let (down, up) = (Cue::new().fail_when(|_| true), Cue::new());
    let pipeline = Flow::from(source)
        .process(Processor::new("first", down.handler()).fallback(fallback.clone()))
        .process(Processor::new("call", up.handler()).fallback(fallback))
        .acknowledge();
    let statuses = statuses(pipeline).await;
    assert_eq!(statuses[0], PolicyStatus::Fallback { used: 0 });
}

/// A store that never answers but with an error, for a while.
#[derive(Debug)]
struct Down;

fn down<T: Send + 'static>() -> BoxFuture<'static, Result<T, BoxError>> {
    ready(Err("no connection".into())).boxed()
}

impl DedupStore for Down {
    fn claim(&self, _: Claim, _: Duration) -> BoxFuture<'static, Result<Claimed, BoxError>> {
        down()
    }

    fn renew(&self, _: Claim, _: Duration) -> BoxFuture<'static, Result<(), BoxError>> {
        down()
    }

    fn complete(&self, _: Claim, _: Duration) -> BoxFuture<'static, Result<(), BoxError>> {
        down()
    }

    fn release(&self, _: Claim) -> BoxFuture<'static, Result<(), BoxError>> {
        down()
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_store_for_keys_is_down_messages_go_back_to_their_source_uncalled() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let cue = Cue::new();
    let dedup = Dedup::by_key(|n: &u64| *n).shared(Arc::new(Down), "orders");
    let report = Flow::from(source)
        .process(Processor::new("call", cue.handler()).dedup(dedup))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!((cue.calls(), outcomes.count("retried")), (0, 10));
}

#[tokio::test(start_paused = true)]
async fn duplicates_beyond_those_that_may_wait_stop_demand_and_nothing_is_lost() {
    let (source, outcomes) = TestSource::of((0..100_u64).map(|_| 7));
    let (cue, recorder) = (Cue::new().hang_when(|_| true), Recorder::new());
    let running = Flow::from(source)
        .process(
            Processor::new("call", cue.handler())
                .dedup(Dedup::by_key(|n: &u64| *n))
                .max_parked(NonZeroUsize::new(10).unwrap()),
        )
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();
    sleep(SECOND).await;
    assert_eq!((cue.calls(), outcomes.total()), (1, 0));
    cue.release();
    check(&running.join().await.unwrap());
    assert_eq!((outcomes.count("done"), outcomes.count("dropped")), (1, 99));
    assert_eq!(recorder.items(), [7]);
    assert!(matches!(outcomes.only(99), Outcome::Drop(_)));
}
