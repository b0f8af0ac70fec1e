//! The policies of one service, one by one.

use std::time::Duration;

use towpath_policy::{CircuitBreaker, Concurrency, Policies, RateLimit, Retry, Timeout};
use towpath_test::layer::{Suite, assert_layer};

use super::{built, suite};

const SECOND: Duration = Duration::from_secs(1);

const LIMIT: Duration = Duration::from_secs(2);

const OPEN: Duration = Duration::from_secs(30);

const BACKOFF: Duration = Duration::from_millis(200);

#[test]
fn no_policy_at_all() {
    suite(Policies::new).check();
    assert_layer::<u64, u64, _>(&built(Policies::new().build()));
}

fn per_second() -> RateLimit {
    RateLimit::per_second(5)
}

/// Five at once, and five a second.
fn five() -> RateLimit {
    RateLimit::per_second(5).burst(5)
}

fn limited(limit: fn() -> RateLimit) -> Suite {
    suite(move || Policies::new().rate_limit(limit()))
}

#[test]
fn rate_limits_that_make_wait() {
    limited(five).admits(5, SECOND).check();
    limited(|| per_second().sliding_window())
        .admits(5, SECOND)
        .check();
    limited(|| per_second().leaky_bucket())
        .admits(1, SECOND / 5)
        .check();
}

#[test]
fn rate_limits_that_reject() {
    limited(|| five().rejecting())
        .admits(5, SECOND)
        .rejects()
        .check();
    limited(|| per_second().sliding_window().rejecting())
        .admits(5, SECOND)
        .rejects()
        .check();
    limited(|| per_second().leaky_bucket().rejecting())
        .admits(1, SECOND / 5)
        .rejects()
        .check();
}

#[test]
fn a_rate_limit_by_key() {
    let one_key = || Policies::new().rate_limit(five().by_key(|_: &u64| 7_u64));
    suite(one_key).admits(5, SECOND).check();
    let many_keys = || Policies::new().rate_limit(five().by_key(|number: &u64| *number));
    suite(many_keys).check();
}

#[test]
fn a_rate_limit_by_weight() {
    let weighed = || RateLimit::per_second(10).burst(10).weight(|_: &u64| 2);
    suite(move || Policies::new().rate_limit(weighed()))
        .admits(5, SECOND)
        .check();
    suite(move || Policies::new().rate_limit(weighed().rejecting()))
        .admits(5, SECOND)
        .rejects()
        .check();
}

#[test]
fn retries() {
    suite(|| Policies::new().retry(Retry::fixed(BACKOFF).attempts(3)))
        .attempts(3)
        .backs_off_at_most(BACKOFF * 2)
        .check();
    suite(|| Policies::new().retry(Retry::exponential(BACKOFF, SECOND).attempts(4)))
        .attempts(4)
        .backs_off_at_most(SECOND * 2)
        .check();
    suite(|| Policies::new().retry(Retry::fixed(BACKOFF).attempts(3).deadline(LIMIT)))
        .attempts(3)
        .backs_off_at_most(BACKOFF * 2)
        .gives_up_after(LIMIT)
        .check();
}

#[test]
fn a_timeout() {
    suite(|| Policies::new().timeout(Timeout::after(LIMIT)))
        .times_out_after(LIMIT)
        .check();
}

#[test]
fn a_timeout_of_each_attempt() {
    suite(|| {
        Policies::new()
            .timeout(Timeout::after(LIMIT))
            .retry(Retry::fixed(BACKOFF).attempts(2))
    })
    .times_out_after(LIMIT)
    .attempts(2)
    .backs_off_at_most(BACKOFF)
    .check();
}

/// Opens after two failures.
fn breaker() -> CircuitBreaker {
    CircuitBreaker::failure_rate(1.0)
        .over_calls(2)
        .min_calls(2)
        .open_for(OPEN)
        .probes(1)
        .probe_successes(1)
}

#[test]
fn a_circuit_breaker_that_makes_wait() {
    suite(|| Policies::new().circuit_breaker(breaker()))
        .opens_after(2, OPEN)
        .check();
}

#[test]
fn a_circuit_breaker_that_rejects() {
    suite(|| Policies::new().circuit_breaker(breaker().rejecting()))
        .opens_after(2, OPEN)
        .rejects()
        .check();
}

#[test]
fn a_circuit_breaker_around_which_is_tried_again() {
    suite(|| {
        Policies::new()
            .circuit_breaker(breaker().over_calls(10).min_calls(10))
            .retry(Retry::fixed(BACKOFF).attempts(3))
    })
    .attempts(3)
    .backs_off_at_most(BACKOFF * 2)
    .opens_after(10, OPEN)
    .check();
}

#[test]
fn a_concurrency_limit() {
    for limit in [1, 3] {
        suite(move || Policies::new().concurrency(Concurrency::limit(limit)))
            .runs_at_most(limit)
            .check();
    }
}

#[test]
fn a_concurrency_limit_that_adapts() {
    suite(|| Policies::new().concurrency(Concurrency::adaptive().between(3, 3)))
        .runs_at_most(3)
        .check();
}

#[test]
fn a_panic_guard() {
    suite(|| Policies::new().panic_guard())
        .catches_panics()
        .check();
}
