//! Whoever looks at calls is told of each attempt, how it ended, and what was waited for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "observing/cancelled.rs"]
mod cancelled;
#[path = "observing/layers.rs"]
mod layers;
#[path = "observing/rig.rs"]
mod rig;
#[path = "observing/waits.rs"]
mod waits;

use std::io::{self, ErrorKind};

use rig::{Log, ms, observed, scripted};
use tower::Layer;
use towpath_policy::{
    Again, BoxError, CircuitBreaker, Flat, Forced, HttpStatus, Policies, PolicyLayer, RateLimit,
    Retry, RetryAfter, Timeout, context, service_fn,
};

#[tokio::test(start_paused = true)]
async fn a_call_that_goes_well_is_one_attempt_entered_around_each_poll() {
    let log = Log::default();
    let seen = log.clone();
    let mut service = Policies::new().build().unwrap().layer(service_fn(move |n| {
        assert_eq!(seen.depth(), 1, "entered around the call");
        let seen = seen.clone();
        async move {
            assert_eq!(seen.depth(), 1, "entered around a poll");
            tokio::time::sleep(ms(5)).await;
            assert_eq!(seen.depth(), 1, "entered around the next poll");
            Ok::<_, BoxError>(n)
        }
    }));
    observed(&log, &mut service, 1).await.unwrap();
    log.told(["begin 1", "ok 1"]);
    assert_eq!(log.entered(), 3, "the call and two polls");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_ends_its_attempt_with_its_kind() {
    let refused = || io::Error::from(ErrorKind::ConnectionRefused).into();
    let log = Log::default();
    let mut service = Policies::new()
        .build()
        .unwrap()
        .layer(scripted(refused, usize::MAX));
    assert!(observed(&log, &mut service, 1).await.is_err());
    log.told(["begin 1", "connection_refused 1"]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_has_timed_out() {
    let log = Log::default();
    let layer = Timeout::after(ms(30)).build().unwrap();
    let mut service = layer.layer(service_fn(|_| {
        std::future::pending::<Result<u32, BoxError>>()
    }));
    assert!(observed(&log, &mut service, 1).await.is_err());
    log.told(["begin 1", "timeout 1"]);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_of_a_retry_has_its_number_its_end_and_the_wait_before_it() {
    let log = Log::default();
    let retry = Retry::fixed(ms(200)).attempts(3);
    let layer = Policies::new().retry(retry).build().unwrap();
    let mut service = layer.layer(scripted(|| HttpStatus(429).into(), 2));
    observed(&log, &mut service, 1).await.unwrap();
    log.told([
        "begin 1",
        "429 1",
        "wait backoff 0..200",
        "begin 2",
        "429 2",
        "wait backoff 200..400",
        "begin 3",
        "ok 3",
    ]);
    let waits = layer.handle().status().waits;
    assert_eq!((waits.backoff.count, waits.backoff.time), (2, ms(400)));
}

#[tokio::test(start_paused = true)]
async fn attempts_go_on_counting_where_the_deliveries_before_have_ended() {
    let log = Log::default();
    let layer = Retry::fixed(ms(10)).attempts(2).build().unwrap();
    let mut service = layer.layer(scripted(|| HttpStatus(503).into(), 1));
    let mut third = context::CallContext::of_attempt(3);
    log.call_in(&mut third, &mut service, 1).await.unwrap();
    log.told(["begin 3", "503 3", "wait backoff 0..10", "begin 4", "ok 4"]);
    assert_eq!(third.attempt, 4, "those around see it too");
}

#[tokio::test(start_paused = true)]
async fn a_delay_that_the_service_asks_for_is_a_backoff() {
    let log = Log::default();
    let layer = Retry::fixed(ms(1)).attempts(2).build().unwrap();
    let busy = || RetryAfter::new(ms(3_000), HttpStatus(429)).into();
    let mut service = layer.layer(scripted(busy, 1));
    observed(&log, &mut service, 1).await.unwrap();
    let wait = "wait backoff 0..3000";
    log.told(["begin 1", "429 1", wait, "begin 2", "ok 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_an_open_breaker_refuses_is_an_attempt_that_ended_at_once() {
    let log = Log::default();
    let breaker = CircuitBreaker::failure_rate(0.5).rejecting();
    let layer = Policies::new().circuit_breaker(breaker).build().unwrap();
    let handle = layer.handle();
    handle.force_breaker(Forced::Open).unwrap();
    let mut service = layer.layer(scripted(|| "no".into(), 0));
    for _ in 0..2 {
        assert!(observed(&log, &mut service, 1).await.is_err());
    }
    let refused = ["begin 1", "circuit_breaker_open 1"];
    log.told([refused, refused].concat());
    assert_eq!(log.entered(), 0, "the service was not called");
    assert_eq!(handle.status().breaker_rejected, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_limiter_refuses_is_an_attempt_that_ended_at_once_and_does_not_count() {
    let log = Log::default();
    let layer = Policies::new()
        .rate_limit(RateLimit::per_second(10).burst(1).rejecting())
        .retry(Retry::fixed(ms(1)).attempts(2))
        .build()
        .unwrap();
    let mut service = layer.layer(scripted(|| "no".into(), 0));
    observed(&log, &mut service, 1).await.unwrap();
    observed(&log, &mut service, 2).await.unwrap();
    log.told([
        "begin 1",
        "ok 1",
        "begin 1",
        "rate_limited 1",
        "wait backoff 0..100",
        "begin 1",
        "ok 1",
    ]);
    assert_eq!(layer.handle().status().rate_limit.unwrap().rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_before_it_can_be_called_is_an_attempt_that_ended_at_once() {
    let log = Log::default();
    let layer = Policies::new().build().unwrap();
    let mut service = layer.layer(rig::Unready);
    assert!(observed(&log, &mut service, 1).await.is_err());
    log.told(["begin 1", "not_connected 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_the_guard_catches_ends_its_attempt() {
    for in_call in [true, false] {
        let log = Log::default();
        let layer = Policies::new().panic_guard().build().unwrap();
        let mut service = layer.layer(service_fn(move |_| {
            assert!(!in_call, "in the call");
            async move {
                tokio::time::sleep(ms(5)).await;
                assert!(in_call, "in a poll");
                Ok::<u32, BoxError>(1)
            }
        }));
        assert!(observed(&log, &mut service, 1).await.is_err());
        log.told(["begin 1", "panic 1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_nobody_catches_here_ends_its_attempt_too() {
    for in_call in [true, false] {
        let log = Log::default();
        let layer = Policies::new().build().unwrap();
        let mut service = layer.layer(service_fn(move |_| {
            assert!(!in_call, "in the call");
            async move {
                assert!(in_call, "in a poll");
                Ok::<u32, BoxError>(1)
            }
        }));
        let call = observed(&log, &mut service, 1);
        assert!(rig::caught(call).await.is_err());
        log.told(["begin 1", "panic 1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_calls_that_nobody_looks_at() {
    let log = Log::default();
    let layer = Retry::fixed(ms(1)).attempts(2).build().unwrap();
    let mut service = layer.layer(scripted(|| "no".into(), 3));
    assert!(rig::plain(&mut service, 1).await.is_err());
    observed(&log, &mut service, 2).await.unwrap();
    let known = log.all();
    rig::plain(&mut service, 3).await.unwrap();
    assert_eq!(log.all(), known);
    assert_eq!(known.last().unwrap(), "ok 2");
}

/// The attempts that a service with a retry of its own has seen within `outer`, and what is
/// left for those around.
async fn counted(outer: PolicyLayer<Flat, Again>, looks: bool) -> (Vec<u32>, u32) {
    let seen = rig::Seen::default();
    let noted = seen.clone();
    let inner = Retry::fixed(ms(1)).attempts(2).build().unwrap();
    let inner = inner.layer(service_fn(move |_| {
        noted.lock().unwrap().push(context::attempt());
        async { Err::<u32, BoxError>("no".into()) }
    }));
    let mut service = outer.layer(inner);
    let mut around = context::CallContext::default();
    let result = if looks {
        let log = Log::default();
        log.call_in(&mut around, &mut service, 1).await
    } else {
        rig::plain_in(&mut around, &mut service, 1).await
    };
    assert!(result.is_err());
    let seen = seen.lock().unwrap().clone();
    (seen, around.attempt)
}

#[tokio::test(start_paused = true)]
async fn attempts_count_the_same_whether_somebody_looks_or_not() {
    let once = || Retry::fixed(ms(9)).attempts(1).build().unwrap();
    assert_eq!(counted(once(), false).await, (vec![1, 2], 2));
    assert_eq!(counted(once(), true).await, (vec![1, 2], 2));
    let twice = || Retry::fixed(ms(9)).attempts(2).deadline(ms(500)).build();
    let unseen = counted(twice().unwrap(), false).await;
    assert_eq!(counted(twice().unwrap(), true).await, unseen);
}
