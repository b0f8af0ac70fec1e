//! The errors that policies add, and how to find one along a chain of causes.

use std::{error::Error, time::Duration};

/// Any error that a service may return.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Finds the first error of type `E` along the chain of causes.
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An attempt took longer than it may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the attempt took longer than {limit:?}")]
#[non_exhaustive]
pub struct TimedOut {
    /// How long an attempt may take.
    pub limit: Duration,
}

/// The time for all attempts is over.
#[derive(Debug, thiserror::Error)]
#[error("the deadline has passed")]
#[non_exhaustive]
pub struct DeadlinePassed {
    /// How the last attempt failed, where there was one.
    pub source: Option<BoxError>,
}

impl DeadlinePassed {
    /// The time was over before there was an attempt.
    #[must_use]
    pub fn unbegun() -> Self {
        Self { source: None }
    }
}

/// A rate limiter refused the call. Made here: the service was not called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RateLimited {
    /// There is no budget left now.
    #[error("the rate limit is reached; there is room again in {retry_after:?}")]
    NoBudget {
        /// When there will be.
        retry_after: Duration,
    },
    /// The call weighs more than the limiter ever grants at once.
    #[error("the call weighs {weight}, more than the burst of {burst}")]
    TooHeavy {
        /// What the call weighs.
        weight: u32,
        /// What is granted at once.
        burst: u32,
    },
    /// The store that is shared with others cannot be asked, and the limiter fails closed.
    #[error("the store of the rate limit cannot be asked")]
    StoreFailed,
}

/// A circuit breaker is open. Made here: the service was not called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open; it lets a probe through in {retry_after:?}")]
#[non_exhaustive]
pub struct BreakerOpen {
    /// When a call may be let through as a probe. Where nobody knows, as probes are out or the
    /// breaker is held open, no longer than it would be open the next time.
    pub retry_after: Duration,
}

/// Every attempt failed.
#[derive(Debug, thiserror::Error)]
#[error("all {attempts} attempts failed")]
#[non_exhaustive]
pub struct Exhausted {
    /// How many there were.
    pub attempts: u32,
    /// How the last one failed.
    pub source: BoxError,
}

/// The retry budget of the stage is spent.
#[derive(Debug, thiserror::Error)]
#[error("the retry budget is spent; {attempts} attempts were made")]
#[non_exhaustive]
pub struct BudgetSpent {
    /// How many attempts there were.
    pub attempts: u32,
    /// How the last one failed.
    pub source: BoxError,
}

/// The service panicked; the call failed, the service was replaced by a clone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {message}")]
#[non_exhaustive]
pub struct Panicked {
    /// What the panic said.
    pub message: String,
}

/// The circuit breaker opened over a call that cannot be repeated here: the service is
/// down, and nothing is wrong with the call.
#[derive(Debug, thiserror::Error)]
#[error("the service is unavailable; it is tried again in {retry_after:?}")]
#[non_exhaustive]
pub struct Unavailable {
    /// When a call may be let through as a probe.
    pub retry_after: Duration,
    /// How the call failed.
    pub source: BoxError,
}

/// Calls that wait for another attempt, or for the service to come back, were told to stop.
#[derive(Debug, thiserror::Error)]
#[error("the wait was interrupted")]
#[non_exhaustive]
pub struct Interrupted {
    /// How the last attempt failed, where there was one.
    pub source: Option<BoxError>,
}

/// The call was answered before, or is about to be: it is a duplicate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a duplicate of {key}")]
#[non_exhaustive]
pub struct Duplicate {
    /// The key that was seen before.
    pub key: crate::Key,
}

/// An error with the delay that its sender asks for (`Retry-After`).
#[derive(Debug, thiserror::Error)]
#[error("to be tried again after {delay:?}")]
pub struct RetryAfter {
    delay: Duration,
    source: BoxError,
}

impl RetryAfter {
    /// Says that the call should be tried again no sooner than after `delay`.
    pub fn new(delay: Duration, error: impl Into<BoxError>) -> Self {
        let source = error.into();
        Self { delay, source }
    }

    /// How long to wait.
    pub fn delay(&self) -> Duration {
        self.delay
    }
}
