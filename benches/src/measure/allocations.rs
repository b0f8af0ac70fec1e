//! Allocations per message, on one thread.

use std::io;

use crate::alloc::count;
use crate::case::{Case, Unsound};
use crate::measure::Slope;
use crate::runtime::one_thread;

const SLOPE: Slope = Slope {
    short: 20_000,
    long: 220_000,
};

/// Allocations could not be counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AllocationsError {
    /// The runtime did not start.
    #[error("the runtime did not start")]
    Runtime(#[from] io::Error),
    /// The case lost or invented messages.
    #[error("the case lost or invented messages")]
    Unsound(#[from] Unsound),
}

/// Counts the calls to the allocator that one message of `case` costs.
///
/// Zero unless [`crate::alloc::Counting`] is the global allocator.
///
/// # Errors
/// Fails when the runtime does not start or the case loses messages.
pub fn per_message(case: &Case) -> Result<f64, AllocationsError> {
    run(case, SLOPE.short)?;
    Ok(SLOPE.per_message(run(case, SLOPE.short)?, run(case, SLOPE.long)?))
}

fn run(case: &Case, messages: u32) -> Result<u64, AllocationsError> {
    let runtime = one_thread()?;
    let mut verdict = Ok(());
    let allocations = count(|| verdict = case.checked(&runtime, messages));
    verdict?;
    Ok(allocations)
}
