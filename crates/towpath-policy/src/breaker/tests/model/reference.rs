//! What a breaker should do, told as simply as possible: every call is remembered, and
//! everything is worked out anew from what is remembered.

use std::{collections::VecDeque, time::Duration};

use super::super::super::{
    BreakerState, CircuitBreaker, Forced, Verdict,
    options::{Extent, Growing},
};

#[derive(Debug)]
pub(super) struct Reference {
    options: CircuitBreaker,
    now: Duration,
    state: BreakerState,
    /// Calls that ended since it closed, in buckets: the number of the tenth of the window
    /// they fell in, or of the bucket of a count window.
    buckets: VecDeque<(u128, Vec<Ended>)>,
    has_wrapped: bool,
    changes: u64,
    /// Times it opened in a row without closing.
    openings: i32,
    opened: Duration,
    open_for: Duration,
    probes: Vec<u64>,
    out_since: Duration,
    succeeded: u32,
    issued: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    failed: bool,
    slow: bool,
}

#[derive(Debug)]
pub(super) struct Pass {
    number: u64,
    change: u64,
}

#[derive(Debug)]
pub(super) enum Told {
    Go(Pass),
    /// `None`: nobody knows how long.
    Wait(Option<Duration>),
}

impl Reference {
    pub(super) fn new(options: CircuitBreaker) -> Self {
        Self {
            options,
            now: Duration::ZERO,
            state: BreakerState::Closed,
            buckets: VecDeque::new(),
            has_wrapped: false,
            changes: 0,
            openings: 0,
            opened: Duration::ZERO,
            open_for: Duration::ZERO,
            probes: Vec::new(),
            out_since: Duration::ZERO,
            succeeded: 0,
            issued: 0,
        }
    }

    pub(super) fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    pub(super) fn state(&self) -> BreakerState {
        self.state
    }

    pub(super) fn probes_out(&self) -> u32 {
        u32::try_from(self.probes.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn is_current(&self, pass: &Pass) -> bool {
        pass.change == self.changes
    }

    pub(super) fn enter(&mut self) -> Told {
        self.look_at_clock();
        match self.state {
            BreakerState::Closed | BreakerState::ForcedClosed => Told::Go(self.pass()),
            BreakerState::ForcedOpen => Told::Wait(None),
            BreakerState::Open => self.wait_until(self.opened + self.open_for),
            BreakerState::HalfOpen if self.probes_out() == self.options.probes => {
                self.wait_until(self.out_since + self.options.half_open_for)
            }
            BreakerState::HalfOpen => {
                if self.probes.is_empty() {
                    self.out_since = self.now;
                }
                let pass = self.pass();
                self.probes.push(pass.number);
                Told::Go(pass)
            }
        }
    }

    pub(super) fn end(&mut self, pass: &Pass, verdict: Verdict, took: Duration) {
        if !self.is_current(pass) {
            return;
        }
        let ended = Ended {
            failed: verdict == Verdict::Failure,
            slow: self
                .options
                .slow_calls
                .is_some_and(|slow| took > slow.threshold),
        };
        match (verdict, self.state) {
            (Verdict::Ignored, _) => self.cancel(pass),
            (_, BreakerState::HalfOpen) => self.end_probe(pass, ended),
            _ => self.end_call(ended),
        }
    }

    pub(super) fn cancel(&mut self, pass: &Pass) {
        self.probes.retain(|&probe| probe != pass.number);
    }

    pub(super) fn force(&mut self, forced: Forced) {
        let next = match (forced, self.state) {
            (Forced::Open, _) => BreakerState::ForcedOpen,
            (Forced::Closed, _) => BreakerState::ForcedClosed,
            (Forced::Auto, BreakerState::ForcedOpen) => BreakerState::HalfOpen,
            (Forced::Auto, BreakerState::ForcedClosed) => BreakerState::Closed,
            (Forced::Auto, same) => same,
        };
        if next != self.state {
            self.openings = 0;
            self.change_to(next);
        }
    }

    /// How many calls are in the window, and which parts of them failed and were slow.
    pub(super) fn window(&mut self) -> (u64, f64, f64) {
        self.forget();
        let calls: Vec<_> = self.buckets.iter().flat_map(|(_, calls)| calls).collect();
        let part = |is: fn(&Ended) -> bool| {
            let some = count(calls.iter().filter(|call| is(call)).count());
            some / count(calls.len().max(1))
        };
        let (failed, slow) = (part(|call| call.failed), part(|call| call.slow));
        (calls.len() as u64, failed, slow)
    }

    fn end_call(&mut self, ended: Ended) {
        self.remember(ended);
        let (calls, failed, slow) = self.window();
        let options = &self.options;
        let enough = calls >= options.min_calls_in_window().into() || self.has_wrapped;
        let too_slow = options.slow_calls.is_some_and(|limit| slow >= limit.rate);
        let too_bad = failed >= options.failure_rate || too_slow;
        let is_judged = (ended.failed || ended.slow) && self.state == BreakerState::Closed;
        if is_judged && enough && too_bad {
            self.open();
        }
    }

    fn end_probe(&mut self, pass: &Pass, ended: Ended) {
        self.look_at_clock();
        if self.state != BreakerState::HalfOpen {
            return;
        }
        if ended.failed || ended.slow {
            return self.open();
        }
        self.cancel(pass);
        self.succeeded += 1;
        if Some(self.succeeded) == self.options.probe_successes {
            self.openings = 0;
            self.change_to(BreakerState::Closed);
        }
    }

    fn look_at_clock(&mut self) {
        let is_open = self.state == BreakerState::Open;
        if is_open && self.now >= self.opened + self.open_for {
            self.change_to(BreakerState::HalfOpen);
        }
        if !self.probes.is_empty() && self.now >= self.out_since + self.options.half_open_for {
            self.open();
        }
    }

    fn open(&mut self) {
        self.opened = self.now;
        self.open_for = self.options.open_for;
        if let Some(Growing { factor, max }) = self.options.growing {
            let grow = |time: Duration, _| time.mul_f64(factor).min(max);
            self.open_for = (0..self.openings).fold(self.open_for, grow);
        }
        self.openings += 1;
        self.change_to(BreakerState::Open);
    }

    fn change_to(&mut self, state: BreakerState) {
        self.state = state;
        self.changes += 1;
        self.probes.clear();
        self.succeeded = 0;
        if matches!(state, BreakerState::Closed | BreakerState::ForcedClosed) {
            self.buckets.clear();
            self.has_wrapped = false;
        }
    }

    fn wait_until(&self, until: Duration) -> Told {
        Told::Wait(Some(until.saturating_sub(self.now)))
    }

    fn pass(&mut self) -> Pass {
        self.issued += 1;
        Pass {
            number: self.issued,
            change: self.changes,
        }
    }

    fn remember(&mut self, ended: Ended) {
        let last = self.buckets.back().map(|(number, _)| *number);
        let number = match self.options.extent() {
            Extent::Time(_) => self.tenth(),
            Extent::Calls(calls) => {
                let is_full = self
                    .buckets
                    .back()
                    .is_some_and(|(_, b)| b.len() == each(calls));
                last.map_or(0, |last| last + u128::from(is_full))
            }
        };
        match self.buckets.back_mut() {
            Some((last, calls)) if *last == number => calls.push(ended),
            _ => self.buckets.push_back((number, vec![ended])),
        }
    }

    fn forget(&mut self) {
        match self.options.extent() {
            Extent::Time(_) => {
                let now = self.tenth();
                self.buckets.retain(|(number, _)| number + 10 > now);
            }
            Extent::Calls(calls) => {
                while self.buckets.len() > calls as usize / each(calls) {
                    self.buckets.pop_front();
                    self.has_wrapped = true;
                }
            }
        }
    }

    fn tenth(&self) -> u128 {
        match self.options.extent() {
            Extent::Time(window) => self.now.as_nanos() / (window.as_nanos() / 10),
            Extent::Calls(_) => 0,
        }
    }
}

fn count(calls: usize) -> f64 {
    f64::from(u32::try_from(calls).unwrap_or(u32::MAX))
}

/// Calls per bucket: a tenth of the window, and one at least.
fn each(calls: u32) -> usize {
    (calls as usize / 10).max(1)
}
