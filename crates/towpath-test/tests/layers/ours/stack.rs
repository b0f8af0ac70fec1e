//! All policies at once.

use std::time::Duration;

use towpath_policy::{CircuitBreaker, Concurrency, Policies, RateLimit, Retry, Timeout};

use super::suite;

const SECOND: Duration = Duration::from_secs(1);

const LIMIT: Duration = Duration::from_secs(2);

const BACKOFF: Duration = Duration::from_millis(200);

const OPEN: Duration = Duration::from_secs(30);

/// Everything, with room enough for each policy but the concurrency.
fn roomy() -> Policies<towpath_policy::Flat, towpath_policy::Again> {
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
