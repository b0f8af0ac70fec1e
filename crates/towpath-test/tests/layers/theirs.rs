//! Tower's own layers keep to the rules.

use std::{future::Ready, time::Duration};

use tower::{
    Layer, ServiceBuilder,
    layer::util::Identity,
    limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer},
    load_shed::LoadShedLayer,
    retry::{Policy, RetryLayer},
    timeout::TimeoutLayer,
};
use towpath_test::layer::{self, Failed, Suite, assert_layer};

const LIMIT: Duration = Duration::from_secs(5);

/// Tries three times, at once.
#[derive(Clone)]
struct ThreeTimes(u32);

impl Policy<u64, u64, Failed> for ThreeTimes {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut u64, result: &mut Result<u64, Failed>) -> Option<Ready<()>> {
        self.0 += 1;
        (result.is_err() && self.0 < 3).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}

#[test]
fn no_layer_at_all() {
    layer::check(|inner| Identity::new().layer(inner));
    assert_layer::<u64, u64, _>(&Identity::new());
}

#[test]
fn the_concurrency_limit() {
    for limit in [1, 3] {
        Suite::new(move |inner| ConcurrencyLimitLayer::new(limit).layer(inner))
            .runs_at_most(limit)
            .check();
    }
}

#[test]
fn the_timeout() {
    Suite::new(|inner| TimeoutLayer::new(LIMIT).layer(inner))
        .times_out_after(LIMIT)
        .check();
}

#[test]
fn the_retry() {
    Suite::new(|inner| RetryLayer::new(ThreeTimes(0)).layer(inner))
        .attempts(3)
        .backs_off_at_most(Duration::ZERO)
        .check();
}

#[test]
fn the_load_shed() {
    Suite::new(|inner| LoadShedLayer::new().layer(inner))
        .rejects()
        .check();
}

#[test]
fn a_load_shed_around_a_limit_rejects_what_is_too_much() {
    Suite::new(|inner| {
        let limit = GlobalConcurrencyLimitLayer::new(2);
        ServiceBuilder::new()
            .load_shed()
            .layer(limit)
            .service(inner)
    })
    .runs_at_most(2)
    .rejects()
    .check();
}

#[test]
fn a_stack_of_them_with_requests_of_its_own() {
    Suite::of(
        |number| number.to_string(),
        String::len,
        |inner| {
            ServiceBuilder::new()
                .concurrency_limit(2)
                .timeout(LIMIT)
                .service(inner)
        },
    )
    .runs_at_most(2)
    .times_out_after(LIMIT)
    .check();
}
