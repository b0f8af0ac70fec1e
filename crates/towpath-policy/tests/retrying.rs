//! Retry as a layer alone: attempts, budget, time, and what is left behind when code panics.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "retrying/panics.rs"]
mod panics;
#[path = "retrying/turns.rs"]
mod turns;

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    task::JoinSet,
    time::{Instant, advance, sleep},
};
use tower::{Layer, Service, ServiceExt};
use towpath_policy::{
    Again, BoxError, CircuitBreaker, Class, Concurrency, DeadlinePassed, Flat, Forced, HttpStatus,
    Policed, Policies, PolicyHandle, RateLimit, RateLimited, Retry, RetryAfter, TimedOut, Timeout,
    classify_fn, context, find, service_fn,
};

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// When calls began, and as which attempt.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(Instant, u32)>>>);

type Answer = Pin<Box<dyn Future<Output = Result<u32, BoxError>> + Send>>;

impl Seen {
    /// A service that takes a while and ends as `act` says, given how many calls there were.
    fn service<A>(
        &self,
        takes: Duration,
        act: A,
    ) -> impl Service<u32, Response = u32, Error = BoxError, Future = Answer> + Clone + use<A>
    where
        A: Fn(u32, usize) -> Result<(), BoxError> + Clone + Send + 'static,
    {
        let seen = self.clone();
        service_fn(move |request: u32| -> Answer {
            let (seen, act) = (seen.clone(), act.clone());
            Box::pin(async move {
                let before = seen.note();
                if !takes.is_zero() {
                    sleep(takes).await;
                }
                act(request, before)?;
                Ok(request)
            })
        })
    }

    fn note(&self) -> usize {
        let mut seen = self.0.lock().unwrap();
        seen.push((Instant::now(), context::attempt()));
        seen.len() - 1
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn times(&self, since: Instant) -> Vec<Duration> {
        let seen = self.0.lock().unwrap();
        seen.iter().map(|(at, _)| *at - since).collect()
    }

    fn attempts(&self) -> Vec<u32> {
        let seen = self.0.lock().unwrap();
        seen.iter().map(|(_, attempt)| *attempt).collect()
    }
}

fn always(_: u32, _: usize) -> Result<(), BoxError> {
    Err("no".into())
}

/// A service with policies around it, and the handle of those.
fn policed<S: Clone>(
    policies: &Policies<Flat, Again>,
    service: S,
) -> (Policed<S, Flat, Again>, PolicyHandle) {
    let layer = policies.build().unwrap();
    (layer.layer(service), layer.handle())
}

fn retry(retry: Retry) -> Policies<Flat, Again> {
    Policies::new().retry(retry)
}

/// Nothing is held, and nobody waits.
#[track_caller]
fn assert_free(handle: &PolicyHandle) {
    let status = handle.status();
    assert_eq!(status.parked, 0, "{status:?}");
    if let Some(seats) = status.concurrency {
        assert_eq!((seats.in_use, seats.waiting), (0, 0), "{status:?}");
    }
    if let Some(breaker) = status.circuit_breaker {
        assert_eq!(breaker.probes, 0, "{breaker:?}");
    }
    if let Some(limit) = status.rate_limit {
        assert_eq!(limit.waiting, 0, "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_calls_that_all_fail_come_to_no_more_attempts_than_the_budget_allows() {
    for (ratio, per_second) in [(0.2, 10), (0.0, 1), (0.5, 0)] {
        let seen = Seen::default();
        let policies = retry(
            Retry::exponential(ms(100), SECOND)
                .budget(ratio)
                .budget_at_least(per_second),
        );
        let (service, handle) = policed(&policies, seen.service(ms(1), always));
        let begun = Instant::now();
        let answers = join_all((0..1000).map(|n| service.clone().oneshot(n))).await;
        assert!(answers.iter().all(Result::is_err));
        let most =
            1000.0 * (1.0 + ratio) + f64::from(per_second) * (begun.elapsed().as_secs_f64() + 1.0);
        let least = 1000.0 * (1.0 + ratio);
        let made = f64::from(u32::try_from(seen.len()).unwrap());
        assert!((least..=most).contains(&made), "{made} of {most}");
        assert_free(&handle);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_here_spends_no_budget() {
    let seen = Seen::default();
    let policies = retry(
        Retry::fixed(ms(1))
            .attempts(3)
            .budget(0.5)
            .budget_at_least(0),
    )
    .rate_limit(RateLimit::per_second(1).burst(1).rejecting());
    let (service, handle) = policed(&policies, seen.service(Duration::ZERO, |_, _| Ok(())));
    let answers = join_all((0..10).map(|n| service.clone().oneshot(n))).await;
    let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
    let refused: Vec<_> = refused
        .filter(|error| find::<RateLimited>(&***error).is_some())
        .collect();
    assert_eq!((seen.len(), refused.len()), (3, 7));
    let status = handle.status().retry.unwrap();
    assert_eq!(
        (status.budget_left, status.refused),
        (5, 0),
        "half a retry for each call"
    );
    assert_eq!(
        seen.attempts(),
        [1; 3],
        "a call that was not made is no attempt"
    );
    assert_free(&handle);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_is_made_before_the_error_asks_for_it() {
    let seen = Seen::default();
    let busy = |_, before| match before {
        0 => Err(RetryAfter::new(30 * SECOND, HttpStatus(503)).into()),
        1 => Err("no".into()),
        _ => Ok(()),
    };
    let (service, _) = policed(&retry(Retry::fixed(SECOND)), seen.service(ms(5), busy));
    let begun = Instant::now();
    assert_eq!(service.oneshot(7).await.unwrap(), 7);
    assert_eq!(seen.times(begun), [ms(0), ms(30_005), ms(31_010)]);
    assert_eq!(seen.attempts(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_all_attempts_is_kept_to_the_tick() {
    // The wait, the attempt, or the way in may outlast it.
    for (backoff, takes, ends) in [(4, 0, 4000), (2, 2000, 5000), (1, 6000, 5000)] {
        let seen = Seen::default();
        let policies = retry(
            Retry::fixed(backoff * SECOND)
                .attempts(100)
                .deadline(5 * SECOND),
        );
        let (service, handle) = policed(&policies, seen.service(ms(takes), always));
        let begun = Instant::now();
        let error = service.oneshot(0).await.unwrap_err();
        assert!(error.is::<DeadlinePassed>(), "{error:?}");
        assert_eq!(begun.elapsed(), ms(ends));
        assert_free(&handle);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_permit_between_attempts_ends_at_its_deadline() {
    let seen = Seen::default();
    let act = |request, _| {
        if request == 0 {
            Err("no".into())
        } else {
            Ok(())
        }
    };
    let policies =
        retry(Retry::fixed(SECOND).deadline(5 * SECOND)).concurrency(Concurrency::limit(1));
    let (service, handle) = policed(&policies, seen.service(ms(10), act));
    let mut hog = service.clone();
    let begun = Instant::now();
    let mut first = JoinSet::new();
    first.spawn(service.oneshot(0));
    sleep(ms(100)).await;
    // Readied, and not called: it holds the permit.
    hog.ready().await.unwrap();
    let error = first.join_next().await.unwrap().unwrap().unwrap_err();
    let late = error.downcast_ref::<DeadlinePassed>().unwrap();
    assert_eq!(late.source.as_ref().unwrap().to_string(), "no");
    assert_eq!((begun.elapsed(), seen.len()), (5 * SECOND, 1));
    drop(hog);
    assert_free(&handle);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_that_says_again_to_everything_does_not_outlive_the_deadline() {
    let again = || classify_fn(|_| Class::TRANSIENT);
    let breaker = CircuitBreaker::failure_rate(0.1)
        .min_calls(1)
        .open_for(60 * SECOND);
    for policies in [Policies::new(), Policies::new().circuit_breaker(breaker)] {
        let seen = Seen::default();
        let policies = policies
            .retry(Retry::fixed(SECOND).attempts(1000).deadline(5 * SECOND))
            .classify(again());
        let (service, handle) = policed(&policies, seen.service(ms(300), always));
        let begun = Instant::now();
        let error = service.oneshot(0).await.unwrap_err();
        assert!(error.is::<DeadlinePassed>(), "{error:?}");
        assert!(begun.elapsed() <= 5 * SECOND, "{:?}", begun.elapsed());
        assert_free(&handle);
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_attempt_begins_with_the_call_however_long_the_service_was_ready() {
    let seen = Seen::default();
    let policies = retry(Retry::fixed(SECOND).attempts(2).deadline(10 * SECOND))
        .rate_limit(RateLimit::per_second(100))
        .timeout(Timeout::after(ms(500)));
    let (mut service, _) = policed(&policies, seen.service(ms(400), |_, _| Ok(())));
    service.ready().await.unwrap();
    advance(60 * SECOND).await;
    assert_eq!(service.call(3).await.unwrap(), 3);
    assert_eq!(seen.len(), 1, "it took 400 of its 500 ms");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_a_slow_failure_opens_is_open_from_its_end_on() {
    let seen = Seen::default();
    let policies = Policies::new()
        .retry(Retry::fixed(SECOND).attempts(1))
        .rate_limit(RateLimit::per_second(100))
        .timeout(Timeout::after(60 * SECOND))
        .circuit_breaker(
            CircuitBreaker::failure_rate(0.1)
                .min_calls(1)
                .open_for(10 * SECOND)
                .rejecting(),
        );
    let (service, handle) = policed(&policies, seen.service(3600 * SECOND, always));
    let error = service.clone().oneshot(0).await.unwrap_err();
    assert!(find::<TimedOut>(&*error).is_some(), "{error:?}");
    let open = handle.status().circuit_breaker.unwrap();
    assert_eq!(open.open_for, Some(10 * SECOND));
    sleep(9 * SECOND).await;
    service.oneshot(0).await.unwrap_err();
    assert_eq!(seen.len(), 1, "it is open still");
}

#[tokio::test(start_paused = true)]
async fn the_context_of_a_caller_learns_of_the_attempts_and_is_otherwise_its_own() {
    let seen = Seen::default();
    let act = |_, before| if before < 2 { always(0, 0) } else { Ok(()) };
    let (service, _) = policed(&retry(Retry::fixed(SECOND)), seen.service(ms(5), act));
    assert_eq!(context::attempt(), 1);
    let mut outer = context::CallContext::of_attempt(4);
    let mut call = Box::pin(service.oneshot(0));
    let answer = std::future::poll_fn(|cx| context::scope(&mut outer, || call.as_mut().poll(cx)));
    answer.await.unwrap();
    assert_eq!(seen.attempts(), [4, 5, 6]);
    assert_eq!((outer.attempt, outer.deadline), (6, None));
    assert_eq!((context::attempt(), context::deadline()), (1, None));
}

#[tokio::test(start_paused = true)]
async fn a_forced_breaker_lets_those_that_wait_go_on_when_it_closes() {
    let seen = Seen::default();
    let policies = retry(Retry::fixed(SECOND)).circuit_breaker(CircuitBreaker::failure_rate(0.5));
    let (service, handle) = policed(&policies, seen.service(ms(5), |_, _| Ok(())));
    handle.force_breaker(Forced::Open).unwrap();
    let mut calls: JoinSet<_> = (0..20).map(|n| service.clone().oneshot(n)).collect();
    sleep(600 * SECOND).await;
    assert_eq!(seen.len(), 0);
    let begun = Instant::now();
    handle.force_breaker(Forced::Auto).unwrap();
    handle.force_breaker(Forced::Closed).unwrap();
    while let Some(ended) = calls.join_next().await {
        ended.unwrap().unwrap();
    }
    assert_eq!(begun.elapsed(), ms(5));
    assert_free(&handle);
}
