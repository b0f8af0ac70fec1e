//! Calls that are dropped, drained or cut short.

use tokio::time::timeout;
use tower::Layer;
use towpath_policy::{CircuitBreaker, Deadline, Forced, HttpStatus, Policies, RateLimit, Retry};

use crate::rig::{Log, ms, observed, scripted, slow};

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_dropped_was_cancelled() {
    let log = Log::default();
    let mut service = Policies::new().build().unwrap().layer(slow(ms(100)));
    let call = timeout(ms(30), observed(&log, &mut service, 1));
    assert!(call.await.is_err());
    log.told(["begin 1", "cancelled 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_between_two_attempts_has_waited_until_then() {
    let log = Log::default();
    let layer = Retry::fixed(ms(500)).build().unwrap();
    let mut service = layer.layer(scripted(|| HttpStatus(429).into(), 1));
    let call = timeout(ms(300), observed(&log, &mut service, 1));
    assert!(call.await.is_err());
    log.told(["begin 1", "429 1", "wait backoff 0..300"]);
    let backoff = layer.handle().status().waits.backoff;
    assert_eq!((backoff.count, backoff.time), (1, ms(300)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_readiness_that_is_given_up_counts() {
    let log = Log::default();
    let layer = RateLimit::per_second(1).burst(1).build().unwrap();
    let mut service = layer.layer(scripted(|| "no".into(), 0));
    observed(&log, &mut service, 1).await.unwrap();
    let call = timeout(ms(300), observed(&log, &mut service, 1));
    assert!(call.await.is_err());
    drop(service);
    log.told(["begin 1", "ok 1"]);
    let waits = layer.handle().status().waits.rate_limit;
    assert_eq!((waits.count, waits.time), (1, ms(300)));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_drained_between_two_attempts_is_told_its_wait_and_no_attempt() {
    let log = Log::default();
    let layer = Retry::fixed(ms(500)).build().unwrap();
    let mut service = layer.layer(scripted(|| HttpStatus(429).into(), 1));
    let handle = layer.handle();
    let drains = async {
        tokio::time::sleep(ms(200)).await;
        handle.drain();
    };
    let (answer, ()) = tokio::join!(observed(&log, &mut service, 1), drains);
    assert!(answer.is_err());
    log.told(["begin 1", "429 1", "wait backoff 0..200"]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_comes_in_an_attempt_ends_it() {
    let log = Log::default();
    let inner = Policies::new().build().unwrap().layer(slow(ms(500)));
    let mut service = Deadline::after(ms(80)).build().unwrap().layer(inner);
    assert!(observed(&log, &mut service, 1).await.is_err());
    log.told(["begin 1", "deadline 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_comes_in_a_wait_ends_that_and_there_is_no_attempt() {
    let log = Log::default();
    let limit = RateLimit::per_second(1).burst(1).by_key(|n: &u32| *n);
    let inner = limit.build().unwrap().layer(slow(ms(0)));
    let mut service = Deadline::after(ms(80)).build().unwrap().layer(inner);
    observed(&log, &mut service, 1).await.unwrap();
    assert!(observed(&log, &mut service, 1).await.is_err());
    let [begin, ok] = ["begin 1", "ok 1"];
    let all = log.all();
    assert_eq!(all[..2], [begin, ok]);
    assert!(all[2].starts_with("wait rate_limit"), "{all:?}");
    assert_eq!(all.len(), 3, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_over_a_call_shows_its_failure_the_wait_and_the_probe() {
    let log = Log::default();
    let layer = Policies::new()
        .retry(Retry::fixed(ms(10)).attempts(2))
        .circuit_breaker(
            CircuitBreaker::failure_rate(0.5)
                .min_calls(1)
                .open_for(ms(400)),
        )
        .build()
        .unwrap();
    let mut service = layer.layer(scripted(|| HttpStatus(503).into(), 1));
    observed(&log, &mut service, 1).await.unwrap();
    log.told([
        "begin 1",
        "503 1",
        "wait circuit_breaker 0..400",
        "begin 1",
        "ok 1",
    ]);
    layer.handle().force_breaker(Forced::Auto).unwrap();
}
