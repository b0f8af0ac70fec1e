//! Tower layers around the service of a slot, and what the engine asks of a service.

mod readiness;
mod slots;

use std::{
    collections::HashMap,
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tower::{
    limit::ConcurrencyLimitLayer,
    load_shed::{LoadShedLayer, error::Overloaded},
    retry::{Policy, RetryLayer},
    timeout::{TimeoutLayer, error::Elapsed},
};
use towpath::{BoxError, Flow, Outcome, Processor, core::find};
use towpath_test::{Cue, Recorder, TestSource, check};

/// Tries again at once, as often as it may.
#[derive(Clone)]
struct Again(usize);

impl<Q: Clone, R, E> Policy<Q, R, E> for Again {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Q, result: &mut Result<R, E>) -> Option<Ready<()>> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }
}

/// A handler that fails the first `times` calls of each message that `when` picks.
fn flaky(
    times: usize,
    pause: Duration,
    when: impl Fn(u32) -> bool + Send + Sync + 'static,
) -> (
    impl Fn(u32) -> futures::Attempt + Clone + Send + Sync + 'static,
    Arc<AtomicUsize>,
) {
    let tries = Arc::new(Mutex::new(HashMap::<u32, usize>::new()));
    let calls = Arc::new(AtomicUsize::new(0));
    let (when, counted) = (Arc::new(when), calls.clone());
    let handle = move |n: u32| {
        counted.fetch_add(1, SeqCst);
        let mut tries = tries.lock().expect("nobody panics here");
        let count = tries.entry(n).or_default();
        *count += 1;
        let fails = when(n) && *count <= times;
        futures::attempt(n, pause, fails)
    };
    (handle, calls)
}

mod futures {
    //! The future of an attempt, by name.

    use std::{pin::Pin, time::Duration};

    use tokio::time::sleep;
    use towpath::BoxError;

    pub(super) type Attempt = Pin<Box<dyn Future<Output = Result<u32, BoxError>> + Send>>;

    pub(super) fn attempt(n: u32, pause: Duration, fails: bool) -> Attempt {
        Box::pin(async move {
            sleep(pause).await;
            if fails { Err("not yet".into()) } else { Ok(n) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_rejects_what_is_stuck_and_frees_its_slot() {
    let (source, outcomes) = TestSource::of(0..20_u32);
    let cue = Cue::new().hang_when(|n| n % 5 == 0);
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(
            Processor::new("handle", cue.handler())
                .layer(TimeoutLayer::new(Duration::from_secs(3)))
                .unordered(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    for n in 0..20 {
        match outcomes.only(n) {
            Outcome::Reject(cause) if n % 5 == 0 => {
                assert!(
                    find::<Elapsed>(cause.error()).is_some(),
                    "{:?}",
                    cause.chain()
                );
            }
            outcome => assert!(outcome.is_done() && n % 5 != 0, "{n}: {outcome}"),
        }
    }
    assert_eq!(begun.elapsed().as_secs(), 4 * 3);
    assert_eq!((cue.calls(), cue.ends(), cue.running()), (20, 20, 0));
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_holds_over_all_slots_and_workers() {
    let (source, outcomes) = TestSource::of(0..100_u32);
    let cue = Cue::new().delay(Duration::from_millis(1));
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(
            Processor::new("handle", cue.handler())
                .layer(ConcurrencyLimitLayer::new(3))
                .unordered(16)
                .workers(4),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.count("done"), 100);
    assert_eq!(cue.max_running(), 3);
    assert!(
        begun.elapsed() <= Duration::from_millis(34 + 5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_calls_again_and_the_source_sees_one_outcome() {
    let (source, outcomes) = TestSource::of(0..30_u32);
    let (handle, calls) = flaky(2, Duration::ZERO, |n| n % 10 == 0);
    let report = Flow::from(source)
        .process(Processor::new("handle", handle).layer(RetryLayer::new(Again(2))))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.count("done"), 30);
    assert_eq!(calls.load(SeqCst), 30 + 3 * 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_gives_up_rejects_with_the_last_error() {
    let (source, outcomes) = TestSource::of(0..3_u32);
    let (handle, calls) = flaky(9, Duration::ZERO, |n| n == 1);
    let report = Flow::from(source)
        .process(Processor::new("handle", handle).layer(RetryLayer::new(Again(4))))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let Outcome::Reject(cause) = outcomes.only(1) else {
        panic!("not rejected");
    };
    assert_eq!(cause.chain(), ["not yet"]);
    assert_eq!(calls.load(SeqCst), 2 + 5);
}

#[tokio::test(start_paused = true)]
async fn while_a_message_is_retried_its_lane_waits_and_other_lanes_flow() {
    // Three keys in turns; the second message of key 0 needs thirty-one attempts of a second.
    let (source, outcomes) = TestSource::of(0..30_u32);
    let (handle, _) = flaky(30, Duration::from_secs(1), |n| n == 3);
    let recorder = Recorder::new();
    let begun = Instant::now();
    let running = Flow::from(source)
        .process(
            Processor::new("handle", handle)
                .layer(RetryLayer::new(Again(30)))
                .by_key(4, |n: &u32| n % 3),
        )
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();

    outcomes.wait_for(21).await;
    assert_eq!(
        begun.elapsed().as_secs(),
        10,
        "the other lanes wait for nothing"
    );
    check(&running.join().await.unwrap());
    let items = recorder.items();
    for key in 0..3 {
        let lane: Vec<_> = items.iter().copied().filter(|n| n % 3 == key).collect();
        assert!(lane.is_sorted() && lane.len() == 10, "{lane:?}");
    }
    assert_eq!(begun.elapsed().as_secs(), 1 + 31 + 8);
}

#[tokio::test(start_paused = true)]
async fn layers_stack_and_the_last_one_added_is_the_outermost() {
    // Inside the retry, each attempt has a second; outside, all of them have two and a half.
    let (source, outcomes) = TestSource::of(0..1_u32);
    let cue = Cue::new().hang_when(|_| true);
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(
            Processor::new("handle", cue.handler())
                .layer(TimeoutLayer::new(Duration::from_secs(1)))
                .layer(RetryLayer::new(Again(9)))
                .layer(TimeoutLayer::new(Duration::from_millis(2500))),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.only(0).word(), "rejected");
    assert_eq!((cue.calls(), begun.elapsed().as_millis()), (3, 2500));
}

#[tokio::test(start_paused = true)]
async fn load_that_is_shed_is_rejected_and_nothing_waits() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let cue = Cue::new().delay(Duration::from_secs(1));
    let report = Flow::from(source)
        .process(
            Processor::new("handle", cue.handler())
                .layer(ConcurrencyLimitLayer::new(4))
                .layer(LoadShedLayer::new())
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!((outcomes.count("done"), outcomes.count("rejected")), (4, 6));
    for n in 0..10 {
        if let Outcome::Reject(cause) = outcomes.only(n) {
            assert!(
                find::<Overloaded>(cause.error()).is_some(),
                "{:?}",
                cause.chain()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_around_a_chunk_processor_sees_whole_chunks() {
    let (source, outcomes) = TestSource::new(0..10_u32).chunk(5).build();
    let look_up = |chunk: Vec<u32>| async move {
        if chunk.contains(&0) {
            sleep(Duration::from_secs(60)).await;
        }
        Ok(chunk.into_iter().map(Ok::<_, BoxError>).collect())
    };
    let report = Flow::from(source)
        .process(
            Processor::chunk("look up", look_up)
                .max_messages(5)
                .layer(TimeoutLayer::new(Duration::from_secs(1))),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.only(0).word(), "rejected");
    let (done, rejected) = (outcomes.count("done"), outcomes.count("rejected"));
    assert!((1..=5).contains(&rejected) && done + rejected == 10);
    assert!(report.elapsed() < Duration::from_secs(2));
}
