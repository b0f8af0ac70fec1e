//! How fast budget is earned: units on a clock of its own that runs with the rate.
//!
//! A bucket remembers a point on that clock, not one in time. A new rate changes how
//! fast the clock runs and leaves every bucket as it is: no debt grows or shrinks, no
//! budget appears. The clock wraps around; only distances are ever compared.

use std::time::Duration;

use super::{rate_value::Rate, versioned::Versioned};

/// A rate as it runs since some moment.
///
/// One costs a trace more than is earned for it, which pays for what is rounded down: so
/// nothing is ever admitted early.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    since: u64,
    origin: u64,
    /// Units per nanosecond, times 2 to the power of `shift`.
    factor: u64,
    shift: u32,
    /// What is earned while the rate grants one.
    unit: u64,
    /// The most that is granted at once.
    most: u32,
    /// How far a bucket may be ahead of the clock.
    reach: u64,
}

/// A pace that is read without a lock while another takes its place.
#[derive(Debug)]
pub(super) struct LivePace(Versioned<7>);

/// As long as the clock of a limiter should run until it comes round, in nanoseconds.
const LONG: u128 = 100 * 365 * 86_400 * 1_000_000_000;
/// What one is at most and at least: the coarser, the more it costs to round.
const FINEST: u64 = 1 << 24;
const COARSEST: u64 = 1 << 10;
/// How far apart the clocks of two callers may be: who was stopped right after it had read
/// the clock is behind by as much.
const APART: u64 = 60 * 1_000_000_000;

// === impl Pace ===

impl Pace {
    pub(super) fn starting(rate: Rate, most: u32) -> Self {
        Self::with_unit(rate, most, unit(rate))
    }

    fn with_unit(rate: Rate, most: u32, unit: u64) -> Self {
        let (factor, shift) = factor(rate, unit);
        let pace = Self {
            since: 0,
            origin: 0,
            factor,
            shift,
            unit,
            most,
            reach: 0,
        };
        let reach = pace.earned(APART).saturating_add(pace.cost(most));
        Self { reach, ..pace }
    }

    /// Goes on from here at another rate.
    pub(super) fn turned(&self, rate: Rate, most: u32, now: u64) -> Self {
        let now = now.max(self.since);
        let next = Self::with_unit(rate, most, self.unit);
        Self {
            since: now,
            origin: self.earned(now),
            reach: next.reach.max(self.reach),
            ..next
        }
    }

    /// What `weight` costs.
    #[inline]
    pub(super) fn cost(&self, weight: u32) -> u64 {
        u64::from(weight) * (self.unit + 1)
    }

    pub(super) fn most(&self) -> u32 {
        self.most
    }

    /// What a bucket that is at a point of the clock owes; nothing when the clock is past it.
    ///
    /// What seems to be further ahead than a bucket ever is was passed so long ago that the
    /// clock came round.
    #[inline]
    pub(super) fn owed(&self, point: u64, earned: u64) -> u64 {
        let ahead = point.wrapping_sub(earned);
        if ahead <= self.reach { ahead } else { 0 }
    }

    /// Where the clock of what is earned stands.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the clock wraps around")]
    pub(super) fn earned(&self, now: u64) -> u64 {
        let time = u128::from(now.saturating_sub(self.since));
        let earned = (time * u128::from(self.factor)) >> self.shift;
        self.origin.wrapping_add(earned as u64)
    }

    /// The first moment, from `now` on, at which `missing` more is earned.
    pub(super) fn when(&self, missing: u64, now: u64) -> u64 {
        let now = now.max(self.since);
        let start = self.earned(now);
        let mut time = now.saturating_add(self.time_for(missing));
        while self.earned(time).wrapping_sub(start) < missing && time < u64::MAX {
            time = time.saturating_add(1 + self.time_for(1) / 2);
        }
        time
    }

    /// How long it takes to earn that much, give or take what is rounded.
    fn time_for(&self, missing: u64) -> u64 {
        let room = u128::from(missing).leading_zeros().min(self.shift);
        let time = (u128::from(missing) << room) / u128::from(self.factor);
        let rest = self.shift - room;
        if time.leading_zeros() > rest {
            u64::try_from(time << rest).unwrap_or(u64::MAX)
        } else {
            u64::MAX
        }
    }

    #[inline]
    fn into_numbers(self) -> [u64; 7] {
        let (shift, most) = (self.shift.into(), self.most.into());
        let Self {
            since,
            origin,
            factor,
            unit,
            reach,
            ..
        } = self;
        [since, origin, factor, shift, unit, most, reach]
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "made of 32 bits")]
    fn from_numbers([since, origin, factor, shift, unit, most, reach]: [u64; 7]) -> Self {
        let (shift, most) = (shift as u32, most as u32);
        Self {
            since,
            origin,
            factor,
            shift,
            unit,
            most,
            reach,
        }
    }
}

/// Units per nanosecond as a fixed point number of 63 bits, and where its point is.
fn factor(rate: Rate, unit: u64) -> (u64, u32) {
    let earned = count(rate) * u128::from(unit);
    let period = period(rate);
    let room = earned.leading_zeros() - 1;
    let per_nano = (earned << room) / period;
    let extra = (128 - per_nano.leading_zeros()).saturating_sub(63);
    let factor = u64::try_from(per_nano >> extra).unwrap_or(u64::MAX);
    (factor.max(1), room.saturating_sub(extra))
}

/// As fine as it can be while the clock runs for long.
fn unit(rate: Rate) -> u64 {
    let granted = (count(rate) * LONG / period(rate)).max(1);
    let fits = u64::try_from(u128::from(u64::MAX) / granted).unwrap_or(u64::MAX);
    fits.clamp(COARSEST, FINEST)
}

/// A rate that makes no sense is not let in; it must not panic either.
fn count(rate: Rate) -> u128 {
    rate.count().max(1).into()
}

fn period(rate: Rate) -> u128 {
    rate.period().max(Duration::from_nanos(1)).as_nanos()
}

// === impl LivePace ===

impl LivePace {
    pub(super) fn new(pace: Pace) -> Self {
        Self(Versioned::new(pace.into_numbers()))
    }

    #[inline]
    pub(super) fn load(&self) -> Pace {
        Pace::from_numbers(self.0.load())
    }

    /// Replaces the pace. One at a time: the caller holds a lock.
    pub(super) fn store(&self, pace: Pace) {
        self.0.store(pace.into_numbers());
    }
}
