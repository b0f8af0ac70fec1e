//! The budget of a retry: how many retries the calls of the last seconds pay for.
//!
//! Constraints:
//! - at every moment, `retries <= ratio * calls + at_least * (seconds since the start + 1)`;
//!   exactly, from any number of threads;
//! - a call pays for ten seconds, in steps of one;
//! - a call is counted without looking at the clock, so calls between two retries count as
//!   spread evenly over that time.

use std::{
    fmt,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use super::schedule::nanos;
use towpath_options::Problems;

use crate::{apart::Apart, lock::lock};

#[cfg(test)]
mod tests;

/// What one retry costs. A call pays for a part of one.
const RETRY: u64 = 1_000_000_000;

/// For how many seconds a call pays.
const SECONDS: usize = 10;

/// What is paid for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Terms {
    /// Retries for each call.
    pub(super) ratio: f64,
    /// Retries per second beside.
    pub(super) at_least: u32,
}

/// How many retries there may be, over all calls.
pub(crate) struct Budget {
    /// The calls since the start.
    calls: Apart<AtomicU64>,
    /// What a call pays.
    pay: u64,
    /// What is paid per second without calls.
    income: u64,
    /// Only looked at after failures.
    ledger: Mutex<Ledger>,
}

struct Ledger {
    /// When the budget began.
    start: Instant,
    /// The calls that are entered.
    entered: u64,
    /// The second since the start that the last entry is in.
    second: u64,
    /// What was paid in the last seconds and is left; a second is at its number modulo their count.
    paid: [u64; SECONDS],
    /// What is left of the income.
    reserve: u64,
    /// Until when the income is in the reserve.
    received: Instant,
}

// === impl Terms ===

impl Terms {
    pub(super) fn problems(self, problems: &mut Problems) {
        problems.expect_between("budget", self.ratio, 0.0, 1000.0);
    }

    /// What a call pays.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "clamped, and a cast of NaN is 0"
    )]
    fn pay(self) -> u64 {
        (self.ratio.clamp(0.0, 1000.0) * RETRY as f64).round() as u64
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            ratio: 0.2,
            at_least: 10,
        }
    }
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(terms: Terms, now: Instant) -> Self {
        let income = u64::from(terms.at_least) * RETRY;
        Self {
            calls: Apart(AtomicU64::new(0)),
            pay: terms.pay(),
            income,
            ledger: Mutex::new(Ledger::new(income, now)),
        }
    }

    /// Counts a call, before its first attempt.
    #[inline]
    pub(crate) fn deposit(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a retry out; false when there is none.
    pub(crate) fn withdraw(&self, now: Instant) -> bool {
        self.ledger_at(now).spend()
    }

    /// How many retries there are.
    pub(crate) fn left(&self, now: Instant) -> u64 {
        self.ledger_at(now).total() / RETRY
    }

    /// The ledger, with everything entered.
    fn ledger_at(&self, now: Instant) -> MutexGuard<'_, Ledger> {
        let mut ledger = lock(&self.ledger);
        let calls = self.calls.load(Ordering::Relaxed);
        ledger.enter(calls, self.pay, now);
        ledger.receive(self.income, now);
        ledger
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

// === impl Ledger ===

impl Ledger {
    fn new(reserve: u64, now: Instant) -> Self {
        Self {
            start: now,
            entered: 0,
            second: 0,
            paid: [0; SECONDS],
            reserve,
            received: now,
        }
    }

    /// Enters the calls since the last entry, in equal parts for each second since then.
    fn enter(&mut self, calls: u64, pay: u64, now: Instant) {
        let new = calls.saturating_sub(self.entered);
        self.entered += new;
        let second = now.saturating_duration_since(self.start).as_secs();
        // Another thread may have been here with a later clock.
        let second = second.max(self.second);
        let parts = second - self.second + 1;
        let paid = new.saturating_mul(pay);
        let current = self.paid_in(self.second);
        *current = current.saturating_add(paid / parts + paid % parts);
        let first_kept = (second + 1).saturating_sub(SECONDS as u64);
        for later in first_kept.max(self.second + 1)..=second {
            *self.paid_in(later) = paid / parts;
        }
        self.second = second;
    }

    /// Receives the income since the last time; the reserve holds that of one second.
    fn receive(&mut self, income: u64, now: Instant) {
        let since = now.saturating_duration_since(self.received);
        // A retry has as many parts as a second has nanoseconds, so nothing is ever rounded.
        let received = nanos(since).saturating_mul(income / RETRY);
        self.reserve = self.reserve.saturating_add(received).min(income);
        self.received = self.received.max(now);
    }

    /// Takes one retry: what comes back by itself first, then what expires first.
    fn spend(&mut self) -> bool {
        if self.total() < RETRY {
            return false;
        }
        let mut due = RETRY;
        take(&mut self.reserve, &mut due);
        for offset in 1..=SECONDS as u64 {
            take(self.paid_in(self.second + offset), &mut due);
        }
        true
    }

    fn total(&self) -> u64 {
        let paid = self.paid.iter().copied();
        paid.fold(self.reserve, u64::saturating_add)
    }

    fn paid_in(&mut self, second: u64) -> &mut u64 {
        #[expect(clippy::cast_possible_truncation, reason = "less than SECONDS")]
        let index = (second % SECONDS as u64) as usize;
        &mut self.paid[index]
    }
}

/// Takes from a purse what is due, as far as it goes.
fn take(purse: &mut u64, due: &mut u64) {
    let taken = (*purse).min(*due);
    *purse -= taken;
    *due -= taken;
}
