//! Layers that do something else than was said of them.

use std::time::Duration;

use tower::{Layer, timeout::TimeoutLayer};
use towpath_test::layer::{Rule, Suite};

use super::finds;

const LIMIT: Duration = Duration::from_secs(5);

fn nothing() -> Suite {
    Suite::new(|inner| inner)
}

fn timeout() -> Suite {
    Suite::new(|inner| TimeoutLayer::new(LIMIT).layer(inner))
}

#[test]
fn a_timeout_that_was_not_announced() {
    finds(&timeout(), Rule::Time, "it takes 5s");
}

#[test]
fn a_timeout_that_is_longer_or_shorter_than_announced() {
    for announced in [LIMIT / 2, LIMIT * 2] {
        let suite = timeout().times_out_after(announced);
        finds(&suite, Rule::Time, "it takes 5s");
    }
}

#[test]
fn a_timeout_that_never_comes() {
    let suite = nothing().times_out_after(LIMIT);
    finds(&suite, Rule::Wakers, "the wait should be over and is not");
}

#[test]
fn limits_that_let_in_more() {
    let suite = nothing().runs_at_most(2);
    finds(&suite, Rule::Permits, "3 calls are let in instead of 2");
    let suite = nothing().admits(2, LIMIT);
    finds(&suite, Rule::Permits, "3 calls are let in instead of 2");
}

#[test]
fn a_breaker_that_does_not_open() {
    let suite = nothing().opens_after(3, LIMIT);
    finds(&suite, Rule::Wakers, "it does not have to wait");
}

#[test]
fn a_hedge_that_is_not_sent() {
    let suite = nothing().hedges_after(LIMIT);
    finds(&suite, Rule::Contract, "it is not sent again");
}

#[test]
fn a_retry_that_is_not_made() {
    let suite = nothing().attempts(3);
    finds(&suite, Rule::Errors, "1 times instead of 3");
}
