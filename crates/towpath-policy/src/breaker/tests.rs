//! The breaker on a clock that the tests move.
#![expect(clippy::float_cmp, reason = "these rates are exact")]

mod closed;
mod half_open;
mod model;
mod open;
mod options;
mod sharing;
mod stress;
mod waiting;

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Breaker, BreakerState, CircuitBreaker, Entry, Forced, Pass, Subscription, Transition,
    TransitionReason, Verdict,
};
use towpath_options::Problems;

/// A breaker and its clock.
struct Rig {
    breaker: Breaker,
    now: Instant,
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Rig {
    fn new(options: &CircuitBreaker) -> Self {
        let mut problems = Problems::new();
        options.problems(&mut problems);
        assert_eq!(problems.into_result(), Ok(()));
        let now = Instant::now();
        let breaker = options.start(now).expect("no other of its name");
        Self { breaker, now }
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    fn enter(&self) -> Entry {
        self.breaker.enter(self.now)
    }

    fn pass(&self) -> Pass {
        match self.enter() {
            Entry::Pass(pass) => pass,
            Entry::Wait { until } => panic!("{:?} lets nothing through", (&self.breaker, until)),
        }
    }

    /// How long a call is told to wait.
    fn wait(&self) -> Duration {
        match self.enter() {
            Entry::Wait { until } => until - self.now,
            Entry::Pass(_) => panic!("{:?} lets a call through", self.breaker),
        }
    }

    fn end(&self, pass: Pass, verdict: Verdict) {
        self.breaker.record(pass, verdict, None, self.now);
    }

    fn end_after(&self, pass: Pass, took: Duration) {
        let success = Verdict::Success;
        self.breaker.record(pass, success, Some(took), self.now);
    }

    fn succeed(&self, calls: u32) {
        (0..calls).for_each(|_| self.end(self.pass(), Verdict::Success));
    }

    fn fail(&self, calls: u32) {
        (0..calls).for_each(|_| self.end(self.pass(), Verdict::Failure));
    }

    /// How many calls fail, one after the other, until the breaker opens.
    fn failures_until_open(&self) -> u32 {
        let failures = (1..=1_000_000).find(|_| {
            self.fail(1);
            self.state() == BreakerState::Open
        });
        failures.expect("it never opens")
    }

    fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Opens it, and lets the open time pass.
    fn reach_half_open(&mut self) {
        self.failures_until_open();
        let open_for = self.wait();
        self.advance(open_for);
    }

    fn calls(&self) -> u64 {
        self.breaker.status(self.now).calls
    }
}

/// What a breaker tells of its changes.
fn record_changes(breaker: &Breaker) -> (Subscription, std::sync::mpsc::Receiver<Transition>) {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1000);
    let listener = move |change: &Transition| sender.send(change.clone()).expect("listened to");
    (breaker.on_change(listener), receiver)
}
