//! Layers that make calls twice, elsewhere, or not at all.

use std::{error::Error, sync::Arc};

use tokio::time::Instant;
use tower::Layer;
use towpath_policy::{
    BoxError, Dedup, Fallback, Hedge, HttpStatus, Policies, Retry,
    observe::{self, AttemptObserver, CallObserver, Entered, WaitReason},
    service_fn,
};

use crate::rig::{Log, ms, observed, scripted, slow};

#[tokio::test(start_paused = true)]
async fn both_calls_of_a_hedge_are_attempts_and_the_one_that_loses_is_cancelled() {
    let log = Log::default();
    let calls = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let first_is_slow = service_fn(move |n: u32| {
        let before = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            tokio::time::sleep(ms(if before == 0 { 900 } else { 10 })).await;
            Ok::<_, BoxError>(n)
        }
    });
    let inner = Policies::new().build().unwrap().layer(first_is_slow);
    let mut service = Hedge::after(ms(100)).build().unwrap().layer(inner);
    observed(&log, &mut service, 1).await.unwrap();
    log.told(["begin 1", "begin 1", "ok 1", "cancelled 1"]);
}

#[tokio::test(start_paused = true)]
async fn the_second_service_of_a_fallback_is_an_attempt() {
    let log = Log::default();
    let retry = Retry::fixed(ms(10)).attempts(2).build().unwrap();
    let inner = retry.layer(scripted(|| HttpStatus(503).into(), 9));
    let mut service = Fallback::service(slow(ms(5))).layer(inner);
    observed(&log, &mut service, 1).await.unwrap();
    log.told([
        "begin 1",
        "503 1",
        "wait backoff 0..10",
        "begin 2",
        "503 2",
        "begin 2",
        "ok 2",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_fails_and_one_that_is_dropped_end_their_attempts() {
    let log = Log::default();
    let down = || {
        let inner = Policies::new().build().unwrap();
        inner.layer(scripted(|| HttpStatus(503).into(), 9))
    };
    let mut fails = Fallback::service(scripted(|| HttpStatus(404).into(), 9)).layer(down());
    assert!(observed(&log, &mut fails, 1).await.is_err());
    log.told(["begin 1", "503 1", "begin 1", "404 1"]);
    let log = Log::default();
    let mut slow = Fallback::service(slow(ms(500))).layer(down());
    let call = tokio::time::timeout(ms(9), observed(&log, &mut slow, 1));
    assert!(call.await.is_err());
    log.told(["begin 1", "503 1", "begin 1", "cancelled 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_that_is_left_out_has_no_attempt() {
    let log = Log::default();
    let inner = Policies::new().build().unwrap().layer(slow(ms(1)));
    let dedup = Dedup::by_key(|n: &u32| *n).build().unwrap();
    let mut service = dedup.layer(inner);
    observed(&log, &mut service, 1).await.unwrap();
    assert!(observed(&log, &mut service, 1).await.is_err());
    log.told(["begin 1", "ok 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_twin_is_told_of_its_attempt_when_that_has_failed() {
    let log = Log::default();
    let inner = Policies::new().build().unwrap();
    let inner = inner.layer(scripted(|| HttpStatus(503).into(), 1));
    let dedup = Dedup::by_key(|n: &u32| *n).build().unwrap();
    let (mut one, mut two) = (dedup.layer(inner.clone()), dedup.layer(inner));
    let quiet = Log::default();
    let calls = tokio::join!(observed(&quiet, &mut one, 1), observed(&log, &mut two, 1));
    assert!(calls.0.is_err() && calls.1.is_ok());
    quiet.told(["begin 1", "503 1"]);
    log.told(["begin 1", "ok 1"]);
}

#[tokio::test(start_paused = true)]
async fn calls_inside_of_an_attempt_are_told_to_nobody_by_themselves() {
    let log = Log::default();
    let inside = Retry::fixed(ms(10)).attempts(2).build().unwrap();
    let inside = inside.layer(scripted(|| HttpStatus(429).into(), 1));
    let mut service = Policies::new().build().unwrap().layer(inside);
    observed(&log, &mut service, 1).await.unwrap();
    log.told(["begin 1", "ok 1"]);
}

/// Looks at what is called inside, and not at the attempts themselves.
struct Within(Arc<dyn CallObserver>);

impl CallObserver for Within {
    fn attempt(&self, _: u32) -> Box<dyn AttemptObserver> {
        Box::new(Self(self.0.clone()))
    }

    fn waited(&self, _: WaitReason, _: Instant, _: Instant) {}
}

impl AttemptObserver for Within {
    fn enter(&self) -> Box<dyn Entered> {
        Box::new(observe::enter(&self.0))
    }

    fn ended(self: Box<Self>, _: Result<(), &(dyn Error + 'static)>) {}
}

#[tokio::test(start_paused = true)]
async fn calls_inside_of_an_attempt_are_told_to_whom_the_attempt_enters() {
    let log = Log::default();
    let inside = Retry::fixed(ms(10)).attempts(2).build().unwrap();
    let inside = inside.layer(scripted(|| HttpStatus(429).into(), 1));
    let layer = Policies::new().build().unwrap();
    let mut service = layer.layer(inside);
    let observer: Arc<dyn CallObserver> = Arc::new(Within(log.observer()));
    std::future::poll_fn(|cx| tower::Service::<u32>::poll_ready(&mut service, cx))
        .await
        .unwrap();
    let call = {
        let _entered = observe::enter(&observer);
        tower::Service::call(&mut service, 1)
    };
    // Known from its beginning on: polls need not be entered.
    call.await.unwrap();
    log.told(["begin 1", "429 1", "wait backoff 0..10", "begin 2", "ok 2"]);
}
