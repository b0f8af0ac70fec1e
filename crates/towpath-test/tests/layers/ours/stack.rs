//! All policies at once.

use std::{pin::pin, time::Duration};

use futures_util::FutureExt;
use tower::{Layer, Service, ServiceExt};
use towpath_policy::{
    Again, CircuitBreaker, Concurrency, Deadline, Dedup, Fallback, Flat, Hedge, Policies,
    RateLimit, Retry, Timeout,
};
use towpath_test::layer::{Probe, Suite, assert_layer};

use super::{built, suite};

const SECOND: Duration = Duration::from_secs(1);

const LIMIT: Duration = Duration::from_secs(2);

const BACKOFF: Duration = Duration::from_millis(200);

/// Until a call is hedged.
const DELAY: Duration = Duration::from_millis(700);

const OPEN: Duration = Duration::from_secs(30);

/// Everything, with room enough for each policy but the concurrency.
fn roomy() -> Policies<Flat, Again> {
    Policies::new()
        .rate_limit(RateLimit::per_second(1000).burst(1000))
        .retry(Retry::fixed(BACKOFF).attempts(3))
        .circuit_breaker(
            CircuitBreaker::failure_rate(0.9)
                .min_calls(100)
                .open_for(OPEN),
        )
        .concurrency(Concurrency::limit(3))
        .timeout(Timeout::after(LIMIT))
        .panic_guard()
}

#[test]
fn the_full_stack_where_the_concurrency_is_the_narrow_place() {
    suite(roomy)
        .attempts(3)
        .backs_off_at_most(BACKOFF * 2)
        .times_out_after(LIMIT)
        .runs_at_most(3)
        .catches_panics()
        .check();
}

#[test]
fn the_full_stack_where_the_rate_is_the_narrow_place() {
    suite(|| roomy().rate_limit(RateLimit::per_second(4).burst(2)))
        .attempts(3)
        .backs_off_at_most(SECOND)
        .times_out_after(LIMIT)
        .admits(2, SECOND / 2)
        .runs_at_most(3)
        .catches_panics()
        .check();
}

#[test]
fn the_full_stack_by_key() {
    suite(|| {
        let limit = RateLimit::per_second(1000).burst(1000);
        roomy().rate_limit(limit.by_key(|number: &u64| number % 2))
    })
    .attempts(3)
    .backs_off_at_most(BACKOFF * 2)
    .times_out_after(LIMIT)
    .runs_at_most(3)
    .catches_panics()
    .check();
}

#[test]
fn the_full_stack_where_the_breaker_opens() {
    suite(|| {
        let breaker = CircuitBreaker::failure_rate(0.9);
        roomy().circuit_breaker(breaker.min_calls(20).over(OPEN).open_for(OPEN))
    })
    .attempts(3)
    .backs_off_at_most(BACKOFF * 2)
    .times_out_after(LIMIT)
    .runs_at_most(3)
    .opens_after(10, OPEN)
    .catches_panics()
    .check();
}

#[test]
fn the_full_stack_is_send_and_sync() {
    assert_layer::<u64, u64, _>(&built(roomy().build()));
    let limit = RateLimit::per_second(1).by_key(|number: &u64| number % 2);
    assert_layer::<u64, u64, _>(&built(roomy().rate_limit(limit).build()));
}

#[test]
fn all_layers_around_each_other() {
    let deadline = Duration::from_secs(120);
    Suite::new(move |inner| {
        let inner = built(roomy().build()).layer(inner);
        let inner = built(Hedge::after(DELAY).build()).layer(inner);
        let inner = Fallback::value(0).when(|_| false).layer(inner);
        let inner = built(Dedup::by_key(|number: &u64| *number).build()).layer(inner);
        built(Deadline::after(deadline).build()).layer(inner)
    })
    .attempts(3)
    .backs_off_at_most(BACKOFF * 2)
    .times_out_after(LIMIT)
    .gives_up_after(deadline)
    .hedges_after(DELAY)
    .runs_at_most(3)
    .catches_panics()
    .check();
}

/// Waits for the limiter hold nothing: with one place, the other keys use it.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_out_of_budget_keeps_no_place_from_the_others() {
    let limit = RateLimit::per_second(1).burst(1);
    let policies = Policies::new()
        .rate_limit(limit.by_key(|number: &u64| number % 2))
        .concurrency(Concurrency::limit(1));
    let (probe, script) = Probe::new();
    let mut service = built(policies.build()).layer(probe);
    service.ready().await.unwrap().call(1).await.unwrap();
    let mut waits = pin!(service.ready().await.unwrap().call(3));
    assert!(waits.as_mut().now_or_never().is_none());

    let begun = tokio::time::Instant::now();
    service.ready().await.unwrap().call(2).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    waits.await.unwrap();
    assert_eq!(script.tally().most_running, 1);
    script.kept().unwrap();
}
