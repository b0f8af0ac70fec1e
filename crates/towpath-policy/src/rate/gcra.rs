//! The generic cell rate algorithm on one atomic: what a bucket owes on the pace's clock.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::pace::Pace;

/// A bucket is a point on the clock of what is earned; ahead of the clock it owes.
#[derive(Debug)]
pub(super) struct Gcra {
    point: AtomicU64,
    /// All that was ever given back, on a clock that wraps around.
    back: AtomicU64,
    giving_back: Mutex<()>,
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
    back: u64,
}

// === impl Gcra ===

impl Gcra {
    /// A bucket that owes nothing.
    pub(super) fn fresh(pace: &Pace, now: u64) -> Self {
        Self {
            point: AtomicU64::new(pace.earned(now)),
            back: AtomicU64::new(0),
            giving_back: Mutex::new(()),
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
        // Read before the point: what is given back in between is then counted against
        // this mark although it did not touch it, never the other way round.
        let back = self.back.load(Ordering::Acquire);
        let mut point = self.point.load(Ordering::Acquire);
        loop {
            let owed = pace.owed(point, earned);
            if weight > 0 && owed > room {
                return Err(owed - room);
            }
            let next = earned.wrapping_add(owed + pace.cost(weight));
            match self.replace(point, next) {
                Ok(_) => return Ok(Mark { point: next, back }),
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
    pub(super) fn give_back(&self, mark: Mark, weight: u32, pace: &Pace, now: u64) {
        let _one_at_a_time = self
            .giving_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.back.load(Ordering::Relaxed);
        let since = before.wrapping_sub(mark.back);
        let unpaid = pace
            .owed(mark.point, pace.earned(now))
            .saturating_sub(since);
        let back = unpaid.min(pace.cost(weight));
        self.point.fetch_sub(back, Ordering::AcqRel);
        self.back
            .store(before.wrapping_add(back), Ordering::Release);
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
