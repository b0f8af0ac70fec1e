//! The circuit breaker as a layer around any tower service.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "breaking/saying_nothing.rs"]
mod saying_nothing;
#[path = "breaking/threads.rs"]
mod threads;

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceExt};
use towpath_policy::{
    BoxError, BreakerOpen, BreakerState, CircuitBreaker, Concurrency, Forced, Policies,
    PolicyHandle, RateLimit, Retry, Timeout, find,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const OPEN: Duration = Duration::from_secs(5);

/// Works or fails as it is told, after a while.
#[derive(Clone)]
struct Backend(Arc<Shared>);

struct Shared {
    fails: AtomicBool,
    calls: AtomicUsize,
    after: Mutex<Duration>,
}

impl Backend {
    fn new() -> Self {
        Self(Arc::new(Shared {
            fails: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            after: Mutex::default(),
        }))
    }

    fn set(&self, fails: bool, after: Duration) {
        self.0.fails.store(fails, SeqCst);
        *self.0.after.lock().unwrap() = after;
    }

    fn calls(&self) -> usize {
        self.0.calls.load(SeqCst)
    }
}

impl Service<u64> for Backend {
    type Response = u64;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<u64, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, n: u64) -> Self::Future {
        self.0.calls.fetch_add(1, SeqCst);
        let (fails, after) = (self.0.fails.load(SeqCst), *self.0.after.lock().unwrap());
        Box::pin(async move {
            if !after.is_zero() {
                sleep(after).await;
            }
            if fails {
                return Err("the backend is down".into());
            }
            Ok(n)
        })
    }
}

/// Opens at the second failure, and closes when one probe has succeeded.
fn touchy() -> CircuitBreaker {
    CircuitBreaker::failure_rate(0.5)
        .min_calls(2)
        .open_for(OPEN)
        .probes(1)
}

fn state(handle: &PolicyHandle) -> BreakerState {
    handle.status().circuit_breaker.unwrap().state
}

fn probes(handle: &PolicyHandle) -> u32 {
    handle.status().circuit_breaker.unwrap().probes
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Asks once whether a service is ready.
fn is_ready<S: Service<u64>>(service: &mut S) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    service.poll_ready(&mut cx).is_ready()
}

async fn fail<S: Service<u64> + Clone>(service: &S, times: usize) {
    for _ in 0..times {
        let failed = service.clone().oneshot(0).await;
        assert!(failed.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_million_good_calls_it_opens_as_soon_as_the_window_is_bad() {
    for (rate, failures) in [(0.5, 50), (1.0, 100)] {
        let backend = Backend::new();
        let layer = CircuitBreaker::failure_rate(rate)
            .over_calls(100)
            .rejecting()
            .build()
            .unwrap();
        let handle = layer.handle();
        let mut service = layer.layer(backend.clone());
        for n in 0..1_000_000 {
            let answer = service.ready().await.unwrap().call(n).await;
            assert_eq!(answer.unwrap(), n);
        }
        backend.set(true, Duration::ZERO);
        let mut failed = 0;
        while state(&handle) == BreakerState::Closed {
            fail(&service, 1).await;
            failed += 1;
        }
        // The window slides in tenths.
        assert!((failures * 9 / 10..=failures).contains(&failed), "{failed}");
        assert_eq!(state(&handle), BreakerState::Open);
        let refused = service.oneshot(1).await.unwrap_err();
        assert!(find::<BreakerOpen>(&*refused).is_some());
        assert_eq!(backend.calls(), 1_000_000 + failed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_of_time_slides_too() {
    let backend = Backend::new();
    let layer = touchy().over(10 * SECOND).build().unwrap();
    let handle = layer.handle();
    let service = layer.layer(backend.clone());
    for n in 0..100_000 {
        service.clone().oneshot(n).await.unwrap();
    }
    backend.set(true, Duration::ZERO);
    fail(&service, 10).await;
    assert_eq!(state(&handle), BreakerState::Closed);
    sleep(10 * SECOND).await;
    fail(&service, 2).await;
    assert_eq!(state(&handle), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_readied_service_that_is_dropped_gives_its_probe_back() {
    let backend = Backend::new();
    backend.set(true, Duration::ZERO);
    let layer = touchy().build().unwrap();
    let handle = layer.handle();
    let service = layer.layer(backend.clone());
    fail(&service, 2).await;
    let (mut first, mut second) = (service.clone(), service.clone());
    sleep(OPEN).await;
    assert!(is_ready(&mut first));
    assert_eq!(probes(&handle), 1);
    let wakes = Arc::new(Wakes::default());
    let counting = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&counting);
    assert!(second.poll_ready(&mut cx).is_pending());
    drop(first);
    assert_eq!((probes(&handle), wakes.0.load(SeqCst)), (0, 1));
    assert!(second.poll_ready(&mut cx).is_ready());
    assert_eq!(probes(&handle), 1);
    backend.set(false, Duration::ZERO);
    assert_eq!(second.call(7).await.unwrap(), 7);
    assert_eq!(state(&handle), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_call_is_dropped_is_given_back_wherever_that_happens() {
    let backend = Backend::new();
    backend.set(true, Duration::ZERO);
    let policies = Policies::new()
        .circuit_breaker(touchy())
        .concurrency(Concurrency::limit(1))
        .retry(Retry::fixed(SECOND).attempts(3))
        .build()
        .unwrap();
    let handle = policies.handle();
    let service = policies.layer(backend.clone());
    assert!(timeout(SECOND, service.clone().oneshot(1)).await.is_err());
    fail_until_open(&service, &handle).await;
    backend.set(false, HOUR);
    for time in [0, 1, 4000, 5000, 6000, 7000] {
        let call = service.clone().oneshot(1);
        let ended = timeout(Duration::from_millis(time), call).await;
        assert!(ended.is_err(), "it hangs");
        let status = handle.status();
        assert_eq!(probes(&handle), 0, "after {time} ms");
        assert_eq!(status.concurrency.unwrap().in_use, 0, "after {time} ms");
        assert_eq!(status.parked, 0, "after {time} ms");
    }
    backend.set(false, Duration::ZERO);
    let answer = timeout(OPEN, service.oneshot(5)).await.unwrap();
    assert_eq!(answer.unwrap(), 5);
}

async fn fail_until_open<S: Service<u64> + Clone>(service: &S, handle: &PolicyHandle) {
    while state(handle) == BreakerState::Closed {
        let call = service.clone().oneshot(0);
        assert!(timeout(SECOND, call).await.is_err(), "it waits");
    }
}

#[tokio::test(start_paused = true)]
async fn rejections_made_here_cost_no_retry_budget() {
    let backend = Backend::new();
    let policies = Policies::new()
        .circuit_breaker(touchy().rejecting())
        .retry(
            Retry::fixed(SECOND)
                .attempts(4)
                .budget(0.0)
                .budget_at_least(10),
        )
        .build()
        .unwrap();
    let handle = policies.handle();
    let service = policies.layer(backend.clone());
    handle.force_breaker(Forced::Open).unwrap();
    let before = handle.status().retry.unwrap();
    let mut calls: FuturesUnordered<_> = (0..1000).map(|n| service.clone().oneshot(n)).collect();
    while let Some(ended) = calls.next().await {
        let error = ended.unwrap_err();
        assert!(find::<BreakerOpen>(&*error).is_some(), "{error}");
    }
    let after = handle.status().retry.unwrap();
    assert_eq!(
        (after.budget_left, after.refused),
        (before.budget_left, 0),
        "rejected 4000 times"
    );
    assert_eq!(backend.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_waiting_polls_those_who_wait_a_bounded_number_of_times() {
    let backend = Backend::new();
    backend.set(true, Duration::ZERO);
    let layer = touchy().probes(3).build().unwrap();
    let service = layer.layer(backend.clone());
    let polls = AtomicUsize::new(0);
    let begun = Instant::now();
    let mut callers: FuturesUnordered<_> = (0..100)
        .map(|n| {
            let mut service = service.clone();
            let polls = &polls;
            async move {
                while begun.elapsed() < HOUR {
                    let ready = poll_fn(|cx| {
                        polls.fetch_add(1, SeqCst);
                        service.poll_ready(cx)
                    });
                    ready.await.unwrap();
                    drop(service.call(n).await);
                }
            }
        })
        .collect();
    timeout(Duration::from_secs(3599), async {
        while callers.next().await.is_some() {}
    })
    .await
    .unwrap_err();
    let calls = backend.calls();
    assert!((720..=100 + 3 * 720).contains(&calls), "{calls}");
    let polls = polls.load(SeqCst);
    assert!(polls <= 200 + 8 * 720, "a few for each period: {polls}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_takes_the_permit_though_others_were_in_line_for_it_when_the_breaker_opened() {
    let backend = Backend::new();
    backend.set(true, SECOND);
    let policies = Policies::new()
        .circuit_breaker(touchy().min_calls(1))
        .concurrency(Concurrency::limit(1))
        .retry(Retry::fixed(SECOND))
        .build()
        .unwrap();
    let service = policies.layer(backend.clone());
    let begun = Instant::now();
    // One runs and is soon to be the probe; four wait for its permit, with a leave that is out
    // of date then.
    let mut calls: FuturesUnordered<_> = (0..5).map(|n| service.clone().oneshot(n)).collect();
    assert!(timeout(SECOND / 2, calls.next()).await.is_err());
    backend.set(false, SECOND);
    let mut ends = Vec::new();
    while let Some(ended) = calls.next().await {
        ended.unwrap();
        ends.push(begun.elapsed().as_secs());
    }
    assert_eq!(ends, [7, 8, 9, 10, 11]);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_is_open_for_its_time_however_long_the_call_took_that_opened_it() {
    let backend = Backend::new();
    backend.set(false, HOUR);
    let policies = Policies::new()
        .rate_limit(RateLimit::per_second(1000))
        .circuit_breaker(touchy().rejecting())
        .timeout(Timeout::after(4 * SECOND))
        .build()
        .unwrap();
    let handle = policies.handle();
    let service = policies.layer(backend.clone());
    fail(&service, 2).await;
    let open_for = handle.status().circuit_breaker.unwrap().open_for;
    assert_eq!(open_for, Some(OPEN));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_ready_long_before_its_call_has_all_its_time() {
    let backend = Backend::new();
    backend.set(false, SECOND);
    let policies = Policies::new()
        .rate_limit(RateLimit::per_second(10))
        .timeout(Timeout::after(2 * SECOND))
        .build()
        .unwrap();
    let mut service = policies.layer(backend);
    service.ready().await.unwrap();
    sleep(10 * SECOND).await;
    assert_eq!(service.call(3).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_own_deadline_ends_closes_no_breaker() {
    let backend = Backend::new();
    backend.set(true, Duration::ZERO);
    let policies = Policies::new()
        .circuit_breaker(touchy().probes(1))
        .retry(Retry::fixed(SECOND).deadline(8 * SECOND))
        .build()
        .unwrap();
    let handle = policies.handle();
    let service = policies.layer(backend.clone());
    let call = service.clone().oneshot(1);
    assert!(timeout(4 * SECOND, call).await.is_err(), "it waits");
    assert_eq!(state(&handle), BreakerState::Open);
    backend.set(false, HOUR);
    let late = service.clone().oneshot(2).await.unwrap_err();
    assert!(
        find::<towpath_policy::DeadlinePassed>(&*late).is_some(),
        "{late}"
    );
    assert_eq!(state(&handle), BreakerState::HalfOpen);
    assert_eq!(probes(&handle), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_the_wait_of_calls_that_begin_later_too() {
    let backend = Backend::new();
    let policies = Policies::new().circuit_breaker(touchy()).build().unwrap();
    let handle = policies.handle();
    let service = policies.layer(backend.clone());
    handle.force_breaker(Forced::Open).unwrap();
    let mut waiting = pin!(service.clone().oneshot(1));
    assert!(timeout(HOUR, waiting.as_mut()).await.is_err());
    handle.drain();
    let begun = Instant::now();
    for call in [waiting.await, service.oneshot(2).await] {
        let error = call.unwrap_err();
        assert!(
            find::<towpath_policy::Interrupted>(&*error).is_some(),
            "{error}"
        );
    }
    assert_eq!((begun.elapsed(), backend.calls()), (Duration::ZERO, 0));
}
