//! Open: for how long, and forced.

use super::*;

fn quick() -> CircuitBreaker {
    CircuitBreaker::failure_rate(0.5)
        .min_calls(2)
        .open_for(secs(5))
        .probes(1)
}

#[test]
fn open_lets_nothing_through_until_its_time_is_over() {
    let mut rig = Rig::new(&quick());
    rig.fail(2);
    assert_eq!(rig.state(), BreakerState::Open);
    assert_eq!(rig.breaker.enter_closed(), None);
    assert_eq!(rig.wait(), secs(5));
    rig.advance(secs(4));
    assert_eq!(rig.wait(), secs(1));
    rig.advance(secs(1));
    rig.pass();
    assert_eq!(rig.state(), BreakerState::HalfOpen);
}

#[test]
fn calls_that_end_after_it_opened_change_nothing() {
    let mut rig = Rig::new(&quick());
    let late: Vec<_> = (0..1000).map(|_| rig.pass()).collect();
    rig.fail(2);
    let before = rig.breaker.status(rig.now);
    for (&pass, is_good) in late.iter().zip([true, false].into_iter().cycle()) {
        let verdict = if is_good {
            Verdict::Success
        } else {
            Verdict::Failure
        };
        rig.end(pass, verdict);
    }
    assert_eq!(rig.breaker.status(rig.now), before);
    rig.advance(secs(5));
    rig.succeed(1);
    assert_eq!(rig.state(), BreakerState::Closed);
    assert!(late.iter().all(|&pass| !rig.breaker.is_current(pass)));
}

#[test]
fn status_shows_what_opened_it_and_for_how_long() {
    let mut rig = Rig::new(&quick());
    rig.succeed(1);
    rig.fail(1);
    rig.advance(secs(2));
    let status = rig.breaker.status(rig.now);
    assert_eq!(status.state, BreakerState::Open);
    assert_eq!((status.calls, status.failure_rate), (2, 0.5));
    assert_eq!(status.open_for, Some(secs(3)));
    assert_eq!(status.generation, 1);
}

#[test]
fn the_open_time_grows_with_each_failed_probe_up_to_its_maximum() {
    let mut rig = Rig::new(&quick().growing(2.0, secs(30)));
    rig.fail(2);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let wait = rig.wait();
        waits.push(wait);
        rig.advance(wait);
        rig.fail(1);
    }
    assert_eq!(waits, [5, 10, 20, 30, 30].map(secs));
}

#[test]
fn the_open_time_starts_over_once_it_has_closed() {
    let mut rig = Rig::new(&quick().growing(2.0, secs(30)));
    rig.reach_half_open();
    rig.fail(1);
    assert_eq!(rig.wait(), secs(10));
    rig.advance(secs(10));
    rig.succeed(1);
    assert_eq!(rig.state(), BreakerState::Closed);
    rig.fail(2);
    assert_eq!(rig.wait(), secs(5));
}

#[test]
fn the_open_time_stays_unless_it_is_to_grow() {
    let mut rig = Rig::new(&quick());
    for _ in 0..5 {
        rig.reach_half_open();
        rig.fail(1);
        assert_eq!(rig.wait(), secs(5));
        rig.advance(secs(5));
        rig.succeed(1);
    }
}

#[test]
fn what_was_counted_before_it_closed_is_forgotten() {
    let mut rig = Rig::new(&quick());
    rig.reach_half_open();
    rig.succeed(1);
    assert_eq!(rig.state(), BreakerState::Closed);
    assert_eq!(rig.calls(), 0, "probes do not count in the window");
    rig.fail(1);
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn an_hour_of_a_dead_backend_costs_one_probe_per_open_time() {
    let mut rig = Rig::new(&quick());
    let end = rig.now + secs(60 * 60);
    let mut calls = 0;
    while rig.now < end {
        match rig.enter() {
            Entry::Pass(pass) => {
                rig.end(pass, Verdict::Failure);
                calls += 1;
            }
            Entry::Wait { until } => rig.now = until,
        }
    }
    assert_eq!(calls, 2 + 60 * 60 / 5 - 1);
    rig.succeed(1);
    assert_eq!(rig.state(), BreakerState::Closed, "recovers at once");
}

#[test]
fn forced_open_lets_nothing_through_for_ever() {
    let mut rig = Rig::new(&quick());
    let pass = rig.pass();
    rig.breaker.force(Forced::Open);
    assert_eq!(rig.state(), BreakerState::ForcedOpen);
    assert!(!rig.breaker.is_current(pass));
    for _ in 0..100 {
        let look_again = rig.wait();
        assert!(look_again >= secs(60), "{look_again:?} is a busy loop");
        rig.advance(look_again);
    }
    assert_eq!(rig.state(), BreakerState::ForcedOpen);
    assert_eq!(rig.breaker.status(rig.now).open_for, None);
}

#[test]
fn forced_open_then_auto_goes_on_with_probes() {
    let rig = Rig::new(&quick());
    rig.breaker.force(Forced::Open);
    rig.breaker.force(Forced::Auto);
    assert_eq!(rig.state(), BreakerState::HalfOpen);
    rig.succeed(1);
    assert_eq!(rig.state(), BreakerState::Closed);
}

#[test]
fn forced_closed_lets_all_through_and_counts_them() {
    let rig = Rig::new(&quick().over(secs(10)));
    rig.fail(2);
    rig.breaker.force(Forced::Closed);
    assert_eq!(rig.state(), BreakerState::ForcedClosed);
    assert!(rig.breaker.is_closed());
    rig.fail(1000);
    assert_eq!(rig.state(), BreakerState::ForcedClosed);
    assert_eq!(rig.calls(), 1000);
}

#[test]
fn forced_closed_then_auto_starts_with_an_empty_window() {
    let rig = Rig::new(&quick());
    rig.breaker.force(Forced::Closed);
    rig.fail(1000);
    rig.breaker.force(Forced::Auto);
    assert_eq!(rig.state(), BreakerState::Closed);
    assert_eq!(rig.calls(), 0);
    rig.fail(2);
    assert_eq!(rig.state(), BreakerState::Open);
}

#[test]
fn forcing_what_is_forced_already_changes_nothing() {
    let rig = Rig::new(&quick());
    let (_subscription, changes) = record_changes(&rig.breaker);
    rig.breaker.force(Forced::Auto);
    assert_eq!(changes.try_iter().count(), 0);
    for forced in [Forced::Open, Forced::Closed] {
        rig.breaker.force(forced);
        let pass = rig.breaker.enter_closed();
        rig.breaker.force(forced);
        assert_eq!(changes.try_iter().count(), 1);
        assert_eq!(rig.breaker.enter_closed(), pass, "passes stay valid");
    }
}
