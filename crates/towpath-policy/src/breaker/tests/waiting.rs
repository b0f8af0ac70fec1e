//! Who waits is woken, and who listens is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Wake, Waker},
};

use super::*;
use crate::line::Place;

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Calls that wait in the line of a breaker.
struct Waiters<'a> {
    breaker: &'a Breaker,
    waiting: Vec<(Place, Arc<Wakes>)>,
}

impl<'a> Waiters<'a> {
    fn new(breaker: &'a Breaker, count: usize) -> Self {
        let waiting = (0..count).map(|_| Default::default()).collect();
        let mut waiters = Self { breaker, waiting };
        waiters.look();
        waiters
    }

    /// All look, and wait on.
    fn look(&mut self) {
        for (place, wakes) in &mut self.waiting {
            let waker = Waker::from(wakes.clone());
            self.breaker.line().join(place, &waker);
        }
    }

    /// Who was woken since they looked; all look again.
    fn woken(&mut self) -> Vec<bool> {
        let woken = self
            .waiting
            .iter()
            .map(|(_, wakes)| wakes.0.swap(0, Relaxed) > 0);
        let woken = woken.collect();
        self.look();
        woken
    }
}

fn one_probe() -> CircuitBreaker {
    CircuitBreaker::failure_rate(0.5)
        .min_calls(2)
        .probes(1)
        .open_for(secs(5))
}

#[test]
fn each_change_wakes_those_that_it_lets_through_or_who_keeps_the_time() {
    let mut rig = Rig::new(&one_probe());
    let breaker = rig.breaker.clone();
    let mut waiters = Waiters::new(&breaker, 3);
    rig.fail(2);
    assert_eq!(waiters.woken(), [true, false, false], "opened");
    rig.advance(secs(5));
    let probe = rig.pass();
    assert_eq!(waiters.woken(), [true, false, false], "half-open");
    rig.end(probe, Verdict::Success);
    assert_eq!(waiters.woken(), [true; 3], "closed");
    rig.breaker.force(Forced::Open);
    assert_eq!(waiters.woken(), [true, false, false], "forced open");
    for forced in [Forced::Closed, Forced::Auto] {
        rig.breaker.force(forced);
        assert_eq!(waiters.woken(), [true; 3], "forced {forced:?}");
    }
}

#[test]
fn a_probe_that_is_given_back_wakes_the_first() {
    let mut rig = Rig::new(&one_probe().probe_successes(2));
    rig.reach_half_open();
    let probe = rig.pass();
    let breaker = rig.breaker.clone();
    let mut waiters = Waiters::new(&breaker, 3);
    assert_eq!(waiters.woken(), [false; 3]);
    rig.breaker.cancel(probe);
    assert_eq!(waiters.woken(), [true, false, false]);
    let probe = rig.pass();
    rig.end(probe, Verdict::Ignored);
    assert_eq!(waiters.woken(), [true, false, false]);
    let probe = rig.pass();
    rig.end(probe, Verdict::Success);
    assert_eq!(waiters.woken(), [true, false, false], "a place is free");
}

#[test]
fn a_hung_probe_wakes_the_first_when_somebody_looks() {
    let mut rig = Rig::new(&one_probe());
    rig.reach_half_open();
    rig.pass();
    let breaker = rig.breaker.clone();
    let mut waiters = Waiters::new(&breaker, 2);
    let until_it_hangs = rig.wait();
    rig.advance(until_it_hangs);
    rig.wait();
    assert_eq!(waiters.woken(), [true, false]);
}

#[test]
fn listeners_are_told_from_what_to_what_and_why() {
    let mut rig = Rig::new(&one_probe().slow_calls(1.0, secs(1)));
    let (_subscription, changes) = record_changes(&rig.breaker);
    rig.fail(2);
    rig.advance(secs(5));
    rig.fail(1);
    rig.advance(secs(5));
    rig.end_after(rig.pass(), secs(2));
    rig.advance(secs(5));
    rig.pass();
    let until_it_hangs = rig.wait();
    rig.advance(until_it_hangs);
    let open_for = rig.wait();
    rig.advance(open_for);
    rig.succeed(1);
    rig.breaker.force(Forced::Open);
    let told: Vec<_> = changes
        .try_iter()
        .map(|change| change.to_string())
        .collect();
    assert_eq!(
        told,
        [
            "from closed to open: 100.0 % of 2 calls failed",
            "from open to half-open: the open time is over",
            "from half-open to open: a probe failed",
            "from open to half-open: the open time is over",
            "from half-open to open: a probe was slow",
            "from open to half-open: the open time is over",
            "from half-open to open: a probe did not end in time",
            "from open to half-open: the open time is over",
            "from half-open to closed: the probes succeeded",
            "from closed to forced open: forced",
        ]
    );
}

#[test]
fn changes_are_numbered_from_one() {
    let mut rig = Rig::new(&one_probe());
    let (_subscription, changes) = record_changes(&rig.breaker);
    rig.reach_half_open();
    rig.succeed(1);
    let generations: Vec<_> = changes.try_iter().map(|c| c.generation).collect();
    assert_eq!(generations, [1, 2, 3]);
}

#[test]
fn a_listener_may_use_the_breaker() {
    let rig = Rig::new(&one_probe());
    let breaker = rig.breaker.clone();
    let now = rig.now;
    let _subscription = rig.breaker.on_change(move |change| {
        assert_eq!(breaker.status(now).state, change.to);
        if change.to == BreakerState::Open {
            breaker.force(Forced::Closed);
        }
    });
    rig.fail(2);
    assert_eq!(rig.state(), BreakerState::ForcedClosed);
}

#[test]
fn a_dropped_subscription_is_told_nothing() {
    let rig = Rig::new(&one_probe());
    let (first, gone) = record_changes(&rig.breaker);
    drop(first);
    let (_second, changes) = record_changes(&rig.breaker);
    rig.fail(2);
    assert_eq!(
        (gone.try_iter().count(), changes.try_iter().count()),
        (0, 1)
    );
}
