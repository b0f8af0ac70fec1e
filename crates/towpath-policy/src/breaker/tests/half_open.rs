//! Half-open: probes, and what becomes of them.

use super::*;

fn three_probes() -> CircuitBreaker {
    CircuitBreaker::failure_rate(0.5)
        .min_calls(2)
        .open_for(secs(5))
        .probes(3)
        .half_open_for(secs(30))
}

fn half_open(options: &CircuitBreaker) -> Rig {
    let mut rig = Rig::new(options);
    rig.reach_half_open();
    rig
}

#[test]
fn lets_through_as_many_probes_as_it_may_and_no_more() {
    let rig = half_open(&three_probes());
    let probes = [rig.pass(), rig.pass(), rig.pass()];
    assert_eq!(rig.wait(), secs(30), "until the probes would hang");
    assert_eq!(rig.breaker.status(rig.now).probes, 3);
    rig.end(probes[0], Verdict::Success);
    rig.pass();
    assert_eq!(rig.wait(), secs(30));
}

#[test]
fn who_does_not_wait_is_told_no_more_than_the_open_time_where_nobody_knows_the_end() {
    let told = |rig: &Rig| rig.breaker.retry_after(rig.now + rig.wait(), rig.now);
    let rig = half_open(&three_probes());
    let _probes = [rig.pass(), rig.pass(), rig.pass()];
    assert_eq!((rig.wait(), told(&rig)), (secs(30), secs(5)));
    rig.breaker.force(Forced::Open);
    assert!(rig.wait() > secs(60), "it is woken when that changes");
    assert_eq!(told(&rig), secs(5));
    let mut rig = Rig::new(&three_probes());
    rig.failures_until_open();
    rig.advance(secs(2));
    assert_eq!(told(&rig), secs(3), "here the end is known");
}

#[test]
fn closes_after_enough_successes() {
    let rig = half_open(&three_probes().probe_successes(5));
    rig.succeed(4);
    assert_eq!(rig.state(), BreakerState::HalfOpen);
    rig.succeed(1);
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn wants_as_many_successes_as_probes_unless_told_otherwise() {
    let rig = half_open(&three_probes());
    rig.succeed(2);
    assert_eq!(rig.state(), BreakerState::HalfOpen);
    rig.succeed(1);
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn one_failed_probe_opens_it_again() {
    let rig = half_open(&three_probes());
    rig.succeed(2);
    rig.fail(1);
    assert_eq!(rig.state(), BreakerState::Open);
    assert_eq!(rig.wait(), secs(5));
}

#[test]
fn one_slow_probe_opens_it_again() {
    let rig = half_open(&three_probes().slow_calls(0.9, secs(1)));
    rig.end_after(rig.pass(), secs(1));
    assert_eq!(rig.state(), BreakerState::HalfOpen);
    rig.end_after(rig.pass(), secs(2));
    assert_eq!(rig.state(), BreakerState::Open);
}

#[test]
fn flapping_ignores_results_of_earlier_generations() {
    let mut rig = half_open(&three_probes().probe_successes(1));
    let (first, second, third) = (rig.pass(), rig.pass(), rig.pass());
    rig.end(first, Verdict::Failure);
    assert_eq!(rig.state(), BreakerState::Open);
    rig.advance(secs(5));
    let probe = rig.pass();
    rig.end(second, Verdict::Success);
    assert_eq!(rig.state(), BreakerState::HalfOpen, "a stale success");
    rig.end(third, Verdict::Failure);
    assert_eq!(rig.state(), BreakerState::HalfOpen, "a stale failure");
    rig.end(probe, Verdict::Success);
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn calls_let_through_while_closed_are_no_probes() {
    let mut rig = Rig::new(&three_probes().probe_successes(1));
    let (good, bad) = (rig.pass(), rig.pass());
    rig.reach_half_open();
    let probe = rig.pass();
    rig.end(good, Verdict::Success);
    assert_eq!(rig.state(), BreakerState::HalfOpen);
    rig.end(bad, Verdict::Failure);
    assert_eq!(rig.state(), BreakerState::HalfOpen);
    rig.breaker.cancel(bad);
    assert_eq!(rig.breaker.status(rig.now).probes, 1);
    rig.end(probe, Verdict::Success);
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn a_stale_probe_takes_no_place_from_the_next_generation() {
    let mut rig = half_open(&three_probes());
    let stale = [rig.pass(), rig.pass()];
    rig.fail(1);
    rig.advance(secs(5));
    rig.pass();
    for pass in stale {
        rig.breaker.cancel(pass);
    }
    assert_eq!(rig.breaker.status(rig.now).probes, 1);
}

#[test]
fn probes_that_come_slower_than_the_window_close_it_all_the_same() {
    let mut rig = half_open(&three_probes().over(secs(1)));
    for _ in 0..3 {
        rig.advance(secs(60 * 60));
        rig.succeed(1);
    }
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn cancelled_and_ignored_probes_are_given_back() {
    let rig = half_open(&three_probes().probes(1));
    for _ in 0..100 {
        rig.breaker.cancel(rig.pass());
        rig.end(rig.pass(), Verdict::Ignored);
    }
    assert_eq!(rig.state(), BreakerState::HalfOpen);
    rig.succeed(1);
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn a_probe_that_hangs_opens_it_again_and_its_result_is_stale() {
    let mut rig = half_open(&three_probes().probes(1));
    let hung = rig.pass();
    let until_it_hangs = rig.wait();
    rig.advance(until_it_hangs);
    assert_eq!(rig.wait(), secs(5), "open again");
    assert_eq!(rig.state(), BreakerState::Open);
    rig.end(hung, Verdict::Success);
    assert_eq!(rig.state(), BreakerState::Open);
    rig.advance(secs(5));
    rig.succeed(1);
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn a_probe_hangs_although_others_come_and_go() {
    let mut rig = half_open(&three_probes().probe_successes(1000));
    let hung = rig.pass();
    for _ in 0..30 {
        rig.succeed(1);
        rig.advance(secs(1));
    }
    assert_eq!(rig.wait(), secs(5), "open again");
    assert!(!rig.breaker.is_current(hung));
}

#[test]
fn a_result_that_comes_too_late_opens_it_though_nobody_called_meanwhile() {
    let mut rig = half_open(&three_probes().probes(1));
    let hung = rig.pass();
    rig.advance(secs(31));
    rig.end(hung, Verdict::Success);
    assert_eq!(rig.state(), BreakerState::Open);
}

#[test]
fn silence_is_no_hung_probe() {
    let mut rig = half_open(&three_probes());
    rig.succeed(1);
    rig.advance(secs(60 * 60));
    assert_eq!(rig.state(), BreakerState::HalfOpen);
    rig.succeed(2);
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn a_hung_probe_makes_the_open_time_grow() {
    let mut rig = half_open(&three_probes().growing(3.0, secs(60)));
    rig.pass();
    rig.advance(secs(30));
    assert_eq!(rig.wait(), secs(15));
}
