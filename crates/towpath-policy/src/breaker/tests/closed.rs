//! Closed: windows that slide, and what is counted in them.

use super::*;

#[test]
fn a_count_window_slides_after_a_million_good_calls() {
    let rig = Rig::new(&CircuitBreaker::failure_rate(0.5).over_calls(100));
    rig.succeed(1_000_000);
    let failures = rig.failures_until_open();
    assert!((45..=50).contains(&failures), "{failures}");
}

#[test]
fn a_count_window_of_failures_alone_opens_after_as_many_as_it_holds() {
    let rig = Rig::new(&CircuitBreaker::failure_rate(1.0).over_calls(100));
    rig.succeed(1_000_000);
    let failures = rig.failures_until_open();
    assert!((90..=100).contains(&failures), "{failures}");
}

#[test]
fn a_small_count_window_slides_call_by_call() {
    let rig = Rig::new(&CircuitBreaker::failure_rate(1.0).over_calls(7));
    rig.succeed(1000);
    assert_eq!(rig.failures_until_open(), 7);
}

#[test]
fn a_count_window_never_holds_more_calls_than_it_should() {
    for window in [1, 2, 9, 10, 11, 19, 20, 29, 99, 100, 101, 1000] {
        let rig = Rig::new(&CircuitBreaker::failure_rate(0.5).over_calls(window));
        let most = (0..window * 3).map(|_| {
            rig.succeed(1);
            rig.calls()
        });
        let most = most.max().unwrap();
        let window = u64::from(window);
        assert!(most <= window, "{most} of {window}");
        assert!(most * 10 > window * 9, "{most} of {window}");
    }
}

#[test]
fn a_time_window_slides_after_a_million_good_calls() {
    let mut rig = Rig::new(&CircuitBreaker::failure_rate(0.5).over(secs(10)));
    rig.succeed(1_000_000);
    rig.advance(secs(5));
    rig.succeed(20);
    rig.advance(secs(5));
    assert_eq!(rig.calls(), 20, "the million are older than the window");
    assert_eq!(rig.failures_until_open(), 20);
}

#[test]
fn a_time_window_forgets_a_tenth_at_a_time() {
    let mut rig = Rig::new(&CircuitBreaker::default().over(secs(10)));
    for _ in 0..10 {
        rig.succeed(3);
        rig.advance(secs(1));
    }
    let left = (0..10).map(|_| {
        let calls = rig.calls();
        rig.advance(secs(1));
        calls
    });
    let left: Vec<_> = left.collect();
    assert_eq!(left, [27, 24, 21, 18, 15, 12, 9, 6, 3, 0]);
}

#[test]
fn a_time_window_is_empty_after_a_long_silence() {
    let options = CircuitBreaker::failure_rate(0.5).over(secs(10));
    let mut rig = Rig::new(&options.min_calls(3));
    rig.fail(2);
    rig.advance(secs(60 * 60 * 24 * 365));
    rig.fail(2);
    assert_eq!(rig.calls(), 2);
    assert_eq!(rig.state(), BreakerState::Closed);
    rig.fail(1);
    assert_eq!(rig.state(), BreakerState::Open);
}

#[test]
fn a_clock_read_by_another_a_little_earlier_loses_no_call() {
    let mut rig = Rig::new(&CircuitBreaker::default().over(secs(10)));
    rig.advance(secs(5));
    rig.succeed(1);
    rig.now -= secs(3);
    rig.succeed(1);
    rig.fail(1);
    assert_eq!(rig.calls(), 3);
}

#[test]
fn does_not_open_before_the_minimum_of_calls() {
    let rig = Rig::new(&CircuitBreaker::failure_rate(0.1).min_calls(20));
    rig.succeed(17);
    rig.fail(2);
    assert_eq!(rig.state(), BreakerState::Closed);
    rig.fail(1);
    assert_eq!(rig.state(), BreakerState::Open);
}

#[test]
fn a_minimum_of_the_whole_count_window_is_reached_for_good() {
    let rig = Rig::new(
        &CircuitBreaker::failure_rate(0.5)
            .over_calls(100)
            .min_calls(100),
    );
    rig.succeed(101);
    let failures = rig.failures_until_open();
    assert!((45..=50).contains(&failures), "{failures}");
}

#[test]
fn a_window_smaller_than_the_default_minimum_opens_when_it_is_full() {
    let rig = Rig::new(&CircuitBreaker::failure_rate(0.5).over_calls(4));
    assert_eq!(rig.failures_until_open(), 4);
}

#[test]
fn the_rate_counts_and_not_failures_of_a_lifetime() {
    let mut rig = Rig::new(&CircuitBreaker::failure_rate(0.5).over_calls(20));
    for _ in 0..10_000 {
        rig.fail(1);
        rig.succeed(2);
        rig.advance(ms(1));
    }
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn opens_at_the_rate_and_not_only_above() {
    let rig = Rig::new(&CircuitBreaker::failure_rate(0.5));
    rig.succeed(5);
    rig.fail(4);
    assert_eq!(rig.state(), BreakerState::Closed);
    rig.fail(1);
    assert_eq!(rig.state(), BreakerState::Open);
}

#[test]
fn a_success_never_opens_it() {
    let mut rig = Rig::new(&CircuitBreaker::failure_rate(0.5).over(secs(10)));
    rig.succeed(10);
    rig.advance(secs(5));
    rig.fail(9);
    rig.advance(secs(5));
    rig.succeed(1);
    assert_eq!(rig.breaker.status(rig.now).failure_rate, 0.9);
    assert_eq!(rig.state(), BreakerState::Closed);
    rig.fail(1);
    assert_eq!(rig.state(), BreakerState::Open);
}

#[test]
fn cancelled_and_ignored_calls_do_not_count() {
    let rig = Rig::new(&CircuitBreaker::failure_rate(0.5).min_calls(1));
    for _ in 0..100 {
        rig.breaker.cancel(rig.pass());
        rig.end(rig.pass(), Verdict::Ignored);
    }
    assert_eq!(rig.calls(), 0);
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn slow_calls_open_it_although_they_succeed() {
    let rig = Rig::new(&CircuitBreaker::default().slow_calls(0.8, secs(2)));
    assert!(rig.breaker.measures());
    (0..2).for_each(|_| rig.end_after(rig.pass(), secs(2)));
    (0..7).for_each(|_| rig.end_after(rig.pass(), secs(3)));
    assert_eq!(rig.state(), BreakerState::Closed);
    rig.end_after(rig.pass(), secs(3));
    assert_eq!(rig.state(), BreakerState::Open);
    let status = rig.breaker.status(rig.now);
    assert_eq!((status.failure_rate, status.slow_rate), (0.0, 0.8));
}

#[test]
fn a_call_that_is_slow_and_failed_counts_as_both() {
    let rig = Rig::new(&CircuitBreaker::failure_rate(1.0).slow_calls(1.0, secs(1)));
    rig.succeed(1);
    let failed = Verdict::Failure;
    (0..3).for_each(|_| {
        let took = Some(secs(2));
        rig.breaker.record(rig.pass(), failed, took, rig.now);
    });
    let status = rig.breaker.status(rig.now);
    assert_eq!((status.failure_rate, status.slow_rate), (0.75, 0.75));
}

#[test]
fn slowness_does_not_count_unless_it_is_asked_for() {
    let rig = Rig::new(&CircuitBreaker::default());
    assert!(!rig.breaker.measures());
    (0..100).for_each(|_| rig.end_after(rig.pass(), secs(1000)));
    assert_eq!(rig.state(), BreakerState::Closed);
    assert_eq!(rig.breaker.status(rig.now).slow_rate, 0.0);
}
