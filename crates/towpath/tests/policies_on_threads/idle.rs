//! What waits costs nothing while it waits.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::sleep;
use tower::{Layer, Service};
use towpath::{
    BoxError, BreakerState, CircuitBreaker, Flow, ForcedBreaker, Pipeline, PipelineHandle,
    PolicyStatus, Processor, Rate, RateLimit, Retry,
};
use towpath_test::{TestSource, assert_no_leaks};

use crate::ms;

const HOUR: Duration = Duration::from_secs(3600);
/// How long they wait.
const WAIT: Duration = Duration::from_secs(2);
/// Messages of the source.
const MESSAGES: usize = 200;

/// Counts how often a stage asks what is inside: for readiness, and calls for their answers.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicUsize>);

#[derive(Clone, Debug)]
struct Counted<S>(S, Counting);

impl Counting {
    fn polls(&self) -> usize {
        self.0.load(SeqCst)
    }

    fn note(&self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted(inner, self.clone())
    }
}

impl<S, Q> Service<Q> for Counted<S>
where
    S: Service<Q, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.1.note();
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let (mut call, count) = (Box::pin(self.0.call(request)), self.1.clone());
        Box::pin(std::future::poll_fn(move |cx| {
            count.note();
            call.as_mut().poll(cx)
        }))
    }
}

/// What the stage `work` asks while it has nothing to do is little; then it goes on.
async fn costs_nothing(
    pipeline: Pipeline,
    count: Counting,
    ready: impl AsyncFn(&PipelineHandle),
    go_on: impl FnOnce(&PipelineHandle),
) {
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    ready(&handle).await;
    let before = count.polls();
    assert!(before > 0, "the stage asks through the layer");
    sleep(WAIT).await;
    let polls = count.polls() - before;
    assert!(polls <= MESSAGES, "{polls} polls in {WAIT:?} of waiting");
    go_on(&handle);
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.counts.done, MESSAGES as u64, "{report}");
}

/// Looks until it is so.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        sleep(ms(5)).await;
    }
    panic!("it does not come to that");
}

fn is_open(handle: &PipelineHandle) -> bool {
    let policies = handle.policies("work").unwrap();
    policies.iter().any(|policy| match policy {
        PolicyStatus::CircuitBreaker { state, .. } => *state == BreakerState::Open,
        _ => false,
    })
}

fn waiting(handle: &PipelineHandle) -> usize {
    let policies = handle.policies("work").unwrap();
    let at_limiter = policies.iter().find_map(|policy| match policy {
        PolicyStatus::RateLimit { waiting, .. } => Some(*waiting),
        _ => None,
    });
    at_limiter.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_before_a_breaker_that_is_held_open_are_not_polled() {
    let (count, is_up) = (Counting::default(), Arc::new(AtomicBool::new(false)));
    let backend = is_up.clone();
    let work = move |n: u32| {
        let is_up = backend.load(SeqCst);
        async move {
            // All that may run do, when the first of them fails.
            sleep(ms(20)).await;
            if is_up {
                Ok(n)
            } else {
                Err::<u32, BoxError>("down".into())
            }
        }
    };
    let breaker = CircuitBreaker::failure_rate(0.5)
        .min_calls(2)
        .open_for(HOUR);
    let (source, _) = TestSource::of(0..u32::try_from(MESSAGES).unwrap());
    let pipeline = Flow::from(source)
        .process(
            Processor::new("work", work)
                .retry(Retry::fixed(ms(1)))
                .circuit_breaker(breaker)
                .unordered(64)
                .workers(4)
                .layer_outside(count.clone()),
        )
        .acknowledge();
    let ready = async |handle: &PipelineHandle| {
        until(|| is_open(handle)).await;
        handle.force_breaker("work", ForcedBreaker::Open).unwrap();
        // Those that ran have failed, and wait with the others.
        sleep(ms(100)).await;
    };
    let go_on = |handle: &PipelineHandle| {
        is_up.store(true, SeqCst);
        handle.force_breaker("work", ForcedBreaker::Closed).unwrap();
    };
    costs_nothing(pipeline, count, ready, go_on).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_before_a_limiter_are_not_polled_until_there_is_budget() {
    for is_keyed in [false, true] {
        let count = Counting::default();
        let (source, _) = TestSource::of(0..u32::try_from(MESSAGES).unwrap());
        let work = Processor::new("work", |n: u32| async move { Ok::<_, BoxError>(n) })
            .unordered(64)
            .workers(4);
        let limit = RateLimit::new(Rate::new(1, HOUR)).burst(1);
        let flow = Flow::from(source);
        let flow = if is_keyed {
            let limit = limit.by_key(|n: &u32| u64::from(n % 3));
            flow.process(work.rate_limit(limit).layer_outside(count.clone()))
        } else {
            flow.process(work.rate_limit(limit).layer_outside(count.clone()))
        };
        // One that is asked for readiness at each worker, or all that the stage takes.
        let enough = if is_keyed { MESSAGES - 3 } else { 3 };
        let ready = async |handle: &PipelineHandle| until(|| waiting(handle) >= enough).await;
        let go_on = |handle: &PipelineHandle| {
            handle.set_rate("work", 100_000, ms(1000)).unwrap();
        };
        costs_nothing(flow.acknowledge(), count, ready, go_on).await;
    }
}
