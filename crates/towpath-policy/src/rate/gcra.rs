//! The generic cell rate algorithm on one atomic: what a bucket owes on the pace's clock.

use std::sync::PoisonError;

use super::{pace::Pace, returns::Returns};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// A bucket is a point on the clock of what is earned; ahead of the clock it owes.
#[derive(Debug)]
pub(super) struct Gcra {
    point: AtomicU64,
    /// All that was ever given back, on a clock that wraps around.
    back: AtomicU64,
    returns: Mutex<Returns>,
}

/// How much may be owed before a call is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    /// All but what the call itself costs.
    Burst,
    /// Nothing: each call keeps its distance from the one before.
    Constant,
}

/// Where the bucket was after something was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    point: u64,
    /// All that had been given back, at least.
    back: u64,
    /// All that had been given back, at most.
    back_after: u64,
}

// === impl Gcra ===

impl Gcra {
    /// A bucket that owes nothing.
    pub(super) fn fresh(pace: &Pace, now: u64) -> Self {
        Self {
            point: AtomicU64::new(pace.earned(now)),
            back: AtomicU64::new(0),
            returns: Mutex::default(),
        }
    }

    /// Takes `weight`, or says how much is to be earned before.
    #[inline]
    pub(super) fn take(
        &self,
        weight: u32,
        spacing: Spacing,
        pace: &Pace,
        now: u64,
    ) -> Result<Mark, u64> {
        let (earned, room) = (pace.earned(now), spacing.room(weight, pace));
        // Read before the bucket is changed, and after: what is given back meanwhile is in
        // doubt, and counted as what gives back less.
        let back = self.back.load(Ordering::Acquire);
        let mut point = self.point.load(Ordering::Acquire);
        loop {
            let owed = pace.owed(point, earned);
            if weight > 0 && owed > room {
                return Err(owed - room);
            }
            let next = earned.wrapping_add(owed + pace.cost(weight));
            match self.replace(point, next) {
                Ok(_) => {
                    return Ok(Mark {
                        point: next,
                        back,
                        back_after: self.back.load(Ordering::Acquire),
                    });
                }
                Err(current) => point = current,
            }
        }
    }

    /// How much is to be earned before `weight` can be taken, if anything.
    pub(super) fn missing(
        &self,
        weight: u32,
        spacing: Spacing,
        pace: &Pace,
        now: u64,
    ) -> Option<u64> {
        let (owed, room) = (self.owes(pace, now), spacing.room(weight, pace));
        (weight > 0 && owed > room).then(|| owed - room)
    }

    /// Gives back what time has not paid for yet.
    ///
    /// All that came after the mark is then where it would be had so much less been taken
    /// there. More would admit too much: a place that nobody took in its time is gone.
    ///
    /// The clock is read after the bucket is: all who took before are then in its past.
    pub(super) fn give_back(&self, mark: Mark, weight: u32, clock: impl Fn() -> (Pace, u64)) {
        let mut returns = self.returns.lock().unwrap_or_else(PoisonError::into_inner);
        let since = returns.between(mark.latest(), mark.back);
        let mut point = self.point.load(Ordering::Acquire);
        let amount = loop {
            let (pace, now) = clock();
            let unpaid = pace.owed(mark.point, pace.earned(now));
            let amount = unpaid.saturating_sub(since).min(pace.cost(weight));
            match self.replace(point, point.wrapping_sub(amount)) {
                Ok(_) => break amount,
                Err(current) => point = current,
            }
        };
        let total = self.back.load(Ordering::Relaxed).wrapping_add(amount);
        returns.add(mark.earliest(), total, amount);
        self.back.store(total, Ordering::Release);
    }

    /// What is to be earned until the bucket is as good as a fresh one.
    pub(super) fn owes(&self, pace: &Pace, now: u64) -> u64 {
        pace.owed(self.point.load(Ordering::Acquire), pace.earned(now))
    }

    #[inline]
    fn replace(&self, current: u64, new: u64) -> Result<u64, u64> {
        self.point
            .compare_exchange_weak(current, new, Ordering::AcqRel, Ordering::Acquire)
    }
}

// === impl Mark ===

/// Takes are in the order of where the bucket would be had nothing been given back.
impl Mark {
    fn earliest(self) -> u64 {
        self.point.wrapping_add(self.back)
    }

    fn latest(self) -> u64 {
        self.point.wrapping_add(self.back_after)
    }
}

// === impl Spacing ===

impl Spacing {
    #[inline]
    fn room(self, weight: u32, pace: &Pace) -> u64 {
        match self {
            Self::Burst => pace.cost(pace.most().saturating_sub(weight)),
            Self::Constant => 0,
        }
    }
}
