//! Waits are told to the call that they were for, and add up.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::sleep;
use tower::{Layer, limit::ConcurrencyLimitLayer};
use towpath_policy::{
    CircuitBreaker, Concurrency, Forced, HttpStatus, Policies, PolicyLayer, RateLimit, Retry,
    Waited,
};

use crate::rig::{Log, ms, observed, plain, scripted, slow};

fn sum(waited: Waited) -> (u64, Duration) {
    (waited.count, waited.time)
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_rate_before_the_message_is_known_is_told_to_its_call() {
    let log = Log::default();
    let layer = RateLimit::per_second(10).burst(1).build().unwrap();
    let mut service = layer.layer(scripted(|| "no".into(), 0));
    for n in 0..3 {
        observed(&log, &mut service, n).await.unwrap();
    }
    log.told([
        "begin 1",
        "ok 1",
        "wait rate_limit 0..100",
        "begin 1",
        "ok 1",
        "wait rate_limit 100..200",
        "begin 1",
        "ok 1",
    ]);
    let waits = layer.handle().status().waits;
    assert_eq!((sum(waits.rate_limit), log.waited().0), (log.waited(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_with_a_key_waits_for_its_token_by_itself() {
    let log = Log::default();
    let limit = RateLimit::per_second(10).burst(1).by_key(|n: &u32| *n);
    let layer = limit.build().unwrap();
    let mut service = layer.layer(scripted(|| "no".into(), 0));
    observed(&log, &mut service, 7).await.unwrap();
    observed(&log, &mut service, 7).await.unwrap();
    log.told([
        "begin 1",
        "ok 1",
        "wait rate_limit 0..100",
        "begin 1",
        "ok 1",
    ]);
    assert_eq!(sum(layer.handle().status().waits.rate_limit), log.waited());
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_a_call_that_nobody_looks_at_counts_and_is_not_told_to_the_next() {
    let log = Log::default();
    let layer = RateLimit::per_second(10).burst(1).build().unwrap();
    let mut service = layer.layer(scripted(|| "no".into(), 0));
    plain(&mut service, 1).await.unwrap();
    plain(&mut service, 2).await.unwrap();
    sleep(ms(1_000)).await;
    observed(&log, &mut service, 3).await.unwrap();
    log.told(["begin 1", "ok 1"]);
    let (count, time) = sum(layer.handle().status().waits.rate_limit);
    assert!(count == 1 && time >= ms(100) && time < ms(110), "{time:?}");
}

/// A call while the breaker is held open for so long.
async fn held_open(log: &Log, layer: &PolicyLayer, millis: u64) {
    let handle = layer.handle();
    handle.force_breaker(Forced::Open).unwrap();
    let mut service = layer.layer(scripted(|| "no".into(), 0));
    let closes = async {
        sleep(ms(millis)).await;
        handle.force_breaker(Forced::Closed).unwrap();
    };
    let (answer, ()) = tokio::join!(observed(log, &mut service, 1), closes);
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_breaker_is_told_and_counted() {
    let log = Log::default();
    let layer = CircuitBreaker::failure_rate(0.5).build().unwrap();
    held_open(&log, &layer, 700).await;
    log.told(["wait circuit_breaker 0..700", "begin 1", "ok 1"]);
    let status = layer.handle().status();
    assert_eq!(sum(status.waits.circuit_breaker), (1, ms(700)));
    assert_eq!(status.breaker_rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_one_thing_after_the_other_is_told_of_each() {
    let log = Log::default();
    let layer = Policies::new()
        .circuit_breaker(CircuitBreaker::failure_rate(0.5))
        .rate_limit(RateLimit::per_second(1).burst(1))
        .build()
        .unwrap();
    plain(&mut layer.layer(scripted(|| "no".into(), 0)), 0)
        .await
        .unwrap();
    held_open(&log, &layer, 300).await;
    log.told([
        "wait circuit_breaker 0..300",
        "wait rate_limit 300..1000",
        "begin 1",
        "ok 1",
    ]);
    let waits = layer.handle().status().waits;
    assert_eq!(sum(waits.circuit_breaker), (1, ms(300)));
    let both = waits.circuit_breaker.time + waits.rate_limit.time;
    assert_eq!((2, both), log.waited());
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_permit_is_told_and_counted() {
    let log = Log::default();
    let layer = Concurrency::limit(1).build().unwrap();
    let mut services = [0, 1, 2].map(|_| layer.layer(slow(ms(50))));
    let calls: FuturesUnordered<_> = services
        .iter_mut()
        .map(|service| observed(&log, service, 1))
        .collect();
    let answers: Vec<_> = calls.collect().await;
    assert!(answers.iter().all(Result::is_ok));
    log.told([
        "begin 1",
        "ok 1",
        "wait concurrency 0..50",
        "begin 1",
        "ok 1",
        "wait concurrency 0..100",
        "begin 1",
        "ok 1",
    ]);
    assert_eq!(sum(layer.handle().status().waits.concurrency), (2, ms(150)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_service_to_be_ready_is_told_and_counted() {
    let log = Log::default();
    let layer = Policies::new().build().unwrap();
    let limited = ConcurrencyLimitLayer::new(1).layer(slow(ms(50)));
    let mut services = [layer.layer(limited.clone()), layer.layer(limited)];
    let [first, second] = services.each_mut();
    let (one, two) = tokio::join!(observed(&log, first, 1), observed(&log, second, 2));
    one.and(two).unwrap();
    let wait = "wait service 0..50";
    log.told(["begin 1", "ok 1", wait, "begin 1", "ok 1"]);
    assert_eq!(sum(layer.handle().status().waits.service), (1, ms(50)));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_follows_a_backoff_waits_for_its_permit_and_its_token_as_well() {
    let log = Log::default();
    let layer = Policies::new()
        .retry(Retry::fixed(ms(20)).attempts(2))
        .rate_limit(RateLimit::per_second(10).burst(1))
        .build()
        .unwrap();
    let mut service = layer.layer(scripted(|| HttpStatus(503).into(), 1));
    observed(&log, &mut service, 1).await.unwrap();
    log.told([
        "begin 1",
        "503 1",
        "wait backoff 0..20",
        "wait rate_limit 20..100",
        "begin 2",
        "ok 2",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_drained_before_it_began_is_told_its_wait_and_no_attempt() {
    let log = Log::default();
    let layer = CircuitBreaker::failure_rate(0.5).build().unwrap();
    let handle = layer.handle();
    handle.force_breaker(Forced::Open).unwrap();
    let mut service = layer.layer(scripted(|| "no".into(), 0));
    let drains = async {
        sleep(ms(40)).await;
        handle.drain();
    };
    let (answer, ()) = tokio::join!(observed(&log, &mut service, 1), drains);
    assert!(answer.is_err());
    log.told(["wait circuit_breaker 0..40"]);
    assert_eq!(sum(handle.status().waits.circuit_breaker), (1, ms(40)));
}

#[tokio::test(start_paused = true)]
async fn the_time_that_many_calls_have_waited_is_the_sum_of_their_waits() {
    let log = Log::default();
    let layer = RateLimit::per_second(100).burst(1).build().unwrap();
    let mut services: Vec<_> = (0..20)
        .map(|_| layer.layer(scripted(|| "no".into(), 0)))
        .collect();
    let calls: FuturesUnordered<_> = services
        .iter_mut()
        .map(|service| observed(&log, service, 1))
        .collect();
    assert!(calls.all(|answer| async move { answer.is_ok() }).await);
    let (count, time) = sum(layer.handle().status().waits.rate_limit);
    assert_eq!((count, time), log.waited());
    // A token comes with the next millisecond, and so do all that follow it.
    let (least, late) = (ms((1..20).map(|n| n * 10).sum()), ms((1..=20).sum()));
    assert!(
        count == 19 && time >= least && time < least + late,
        "{count} {time:?}"
    );
}
