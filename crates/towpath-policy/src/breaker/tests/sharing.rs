//! Breakers shared by name.

use super::{super::names, *};

#[test]
fn services_with_one_name_share_one_breaker() {
    let options = CircuitBreaker::default().min_calls(2).named("shared");
    let (one, other) = (Rig::new(&options), Rig::new(&options));
    one.fail(1);
    other.fail(1);
    assert_eq!(one.state(), BreakerState::Open);
    assert_eq!(other.state(), BreakerState::Open);
    let status = other.breaker.status(other.now);
    assert_eq!(status.name.as_deref(), Some("shared"));
}

#[test]
fn services_without_a_name_share_nothing() {
    let options = CircuitBreaker::default().min_calls(2);
    let (one, other) = (Rig::new(&options), Rig::new(&options));
    one.fail(2);
    assert_eq!(other.state(), BreakerState::Closed);
}

#[test]
fn some_may_wait_while_others_reject() {
    let options = CircuitBreaker::default().min_calls(2).named("modes");
    let waiting = Rig::new(&options);
    let rejecting = Rig::new(&options.clone().rejecting());
    waiting.fail(2);
    assert_eq!(rejecting.state(), BreakerState::Open);
    assert!(!waiting.breaker.rejects());
    assert!(rejecting.breaker.rejects());
}

#[test]
fn other_options_under_the_same_name_are_refused() {
    let options = CircuitBreaker::default().named("taken");
    let now = Instant::now();
    let first = options.start(now).unwrap();
    let error = options.clone().min_calls(3).start(now).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid options: circuit_breaker.name: is in use with other options"
    );
    drop(first);
    assert!(options.min_calls(3).start(now).is_ok());
}

#[test]
fn defaults_that_are_spelled_out_are_the_same_options() {
    let now = Instant::now();
    let terse = CircuitBreaker::default().named("spelled");
    let spelled = CircuitBreaker::failure_rate(0.5)
        .over_calls(100)
        .min_calls(10)
        .probe_successes(3)
        .named("spelled");
    let _first = terse.start(now).unwrap();
    assert!(spelled.start(now).is_ok());
}

#[test]
fn a_breaker_that_nobody_uses_any_more_is_forgotten() {
    let options = CircuitBreaker::default().min_calls(2).named("forgotten");
    let first = Rig::new(&options);
    first.fail(2);
    assert_eq!(Rig::new(&options).state(), BreakerState::Open);
    drop(first);
    assert_eq!(Rig::new(&options).state(), BreakerState::Closed);
}

#[test]
fn names_are_held_no_longer_than_their_breakers() {
    let now = Instant::now();
    let build = |number| {
        let options = CircuitBreaker::default().named(format!("held-{number}"));
        options.start(now).expect("no other of its name")
    };
    let living = [build(0), build(1)];
    (2..1000).for_each(|number| drop(build(number)));
    assert!(names::count("held-") <= living.len() + 1);
}
