//! The invariants as plain functions, shared by tests, models and debug assertions.

use crate::Counts;

/// A law of the engine that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A message was lost, or counted twice.
    #[error("not conserved: {counts:?}")]
    Conservation {
        /// The accounts.
        counts: Counts,
    },
    /// Something was left without an outcome at the end.
    #[error("{count} messages are left without an outcome")]
    Leftover {
        /// How many.
        count: u64,
    },
    /// More was in flight than the formula allows.
    #[error("{high_water} messages were in flight, the bound is {bound}")]
    Bound {
        /// The most that was in flight.
        high_water: u64,
        /// The most that may be.
        bound: u64,
    },
}

/// *Emitted = done + retried + rejected + dropped + in flight*, at every moment.
///
/// # Errors
/// Names the accounts that do not add up.
pub fn conserved(counts: &Counts) -> Result<(), Violation> {
    let settled = counts.done + counts.retried + counts.rejected + counts.dropped;
    if settled + counts.in_flight == counts.emitted && counts.abandoned <= counts.retried {
        return Ok(());
    }
    Err(Violation::Conservation { counts: *counts })
}

/// Nothing is without an outcome once a pipeline has ended.
///
/// # Errors
/// Says how many are.
pub fn settled(counts: &Counts) -> Result<(), Violation> {
    conserved(counts)?;
    match counts.in_flight {
        0 => Ok(()),
        count => Err(Violation::Leftover { count }),
    }
}

/// Never more in flight than the bound of the topology.
///
/// # Errors
/// Names the high-water mark and the bound.
pub fn bounded(counts: &Counts, bound: u64) -> Result<(), Violation> {
    let high_water = counts.high_water;
    if high_water <= bound {
        return Ok(());
    }
    Err(Violation::Bound { high_water, bound })
}
