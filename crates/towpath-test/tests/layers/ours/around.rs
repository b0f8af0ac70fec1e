//! The layers that go around the policies.

use std::time::Duration;

use tower::Layer;
use towpath_policy::{Deadline, Dedup, Fallback, Hedge};
use towpath_test::layer::{Probe, Suite, assert_layer};

use super::built;

const LIMIT: Duration = Duration::from_secs(30);

const DELAY: Duration = Duration::from_millis(200);

#[test]
fn a_deadline() {
    Suite::new(|inner| built(Deadline::after(LIMIT).build()).layer(inner))
        .times_out_after(LIMIT)
        .check();
    assert_layer::<u64, u64, _>(&built(Deadline::after(LIMIT).build()));
}

#[test]
fn a_deadline_that_no_call_has() {
    Suite::new(|inner| built(Deadline::inherited().build()).layer(inner)).check();
}

#[test]
fn a_fallback_to_a_value() {
    assert_layer::<u64, u64, _>(&Fallback::value(0));
    Suite::new(|inner| Fallback::value(0).layer(inner))
        .answers_errors()
        .check();
}

#[test]
fn a_fallback_to_another_service_that_answers() {
    Suite::new(|inner| Fallback::service(Probe::new().0).layer(inner))
        .answers_errors()
        .check();
}

#[test]
fn a_fallback_that_is_not_for_these_errors() {
    Suite::new(|inner| Fallback::value(0).when(|_| false).layer(inner)).check();
}

#[test]
fn a_dedup() {
    Suite::new(|inner| built(Dedup::by_key(|number: &u64| *number).build()).layer(inner)).check();
    assert_layer::<u64, u64, _>(&built(Dedup::by_key(|number: &u64| *number).build()));
}

#[test]
fn a_hedge() {
    Suite::new(|inner| built(Hedge::after(DELAY).build()).layer(inner))
        .hedges_after(DELAY)
        .check();
    assert_layer::<u64, u64, _>(&built(Hedge::after(DELAY).build()));
}
