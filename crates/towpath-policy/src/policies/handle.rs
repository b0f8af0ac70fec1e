//! The handle of running policies: look at them, and change them.

use std::{fmt, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use crate::{
    BreakerStatus, Forced, InvalidRate, Rate, Transition,
    breaker::Subscription,
    observe::WaitReason,
    policed::{Core, WaitTally},
};

/// The handle of running policies. Clones are cheap and outlive the service.
#[derive(Clone)]
pub struct PolicyHandle(Arc<Core>);

/// What was to be changed is not there, or cannot be so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// There is no such policy.
    #[error("there is no {policy}")]
    Missing {
        /// The policy.
        policy: &'static str,
    },
    /// The rate makes no sense.
    #[error("the rate cannot be changed")]
    Rate(#[from] InvalidRate),
}

/// How the policies of a service are doing; `None` where there is none.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PolicyStatus {
    /// The retry.
    pub retry: Option<RetryStatus>,
    /// The circuit breaker.
    pub circuit_breaker: Option<BreakerStatus>,
    /// Calls that the circuit breaker has refused here; others may share it.
    pub breaker_rejected: u64,
    /// The rate limit.
    pub rate_limit: Option<RateLimitStatus>,
    /// The concurrency.
    pub concurrency: Option<ConcurrencyStatus>,
    /// The timeout.
    pub timeout: Option<TimeoutStatus>,
    /// Calls that wait inside now, without a permit.
    pub parked: usize,
    /// How often and how long calls have waited so far.
    pub waits: Waits,
}

/// How often and how long calls have waited, for each reason.
///
/// Each attempt counts by itself, and a wait when it is over, also when it was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Waits {
    /// For their turn at the rate limit, and a token.
    pub rate_limit: Waited,
    /// For the circuit breaker.
    pub circuit_breaker: Waited,
    /// For a permit of the concurrency limit.
    pub concurrency: Waited,
    /// For the service to be ready.
    pub service: Waited,
    /// For the time of their next attempt.
    pub backoff: Waited,
}

/// How often and how long calls have waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Waited {
    /// How often.
    pub count: u64,
    /// How long, added up.
    pub time: Duration,
}

/// How the retry is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetryStatus {
    /// The most attempts of a call.
    pub attempts: u32,
    /// Attempts that were made beside the first of each call.
    pub retried: u64,
    /// Retries that the budget would allow now.
    pub budget_left: u64,
    /// Retries that the budget has refused.
    pub refused: u64,
}

/// How the rate limit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RateLimitStatus {
    /// The rate.
    pub rate: Rate,
    /// Calls in the line of the budget that all share, or of the keys.
    pub waiting: usize,
    /// Keys with a budget of their own now.
    pub keys: usize,
    /// Calls that it has refused.
    pub rejected: u64,
}

/// How the timeout is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TimeoutStatus {
    /// How long an attempt may take.
    pub limit: Duration,
    /// Attempts that took longer.
    pub timed_out: u64,
}

/// How the concurrency is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConcurrencyStatus {
    /// How many calls may run.
    pub limit: usize,
    /// How many run.
    pub in_use: usize,
    /// How many wait for one of those to end.
    pub waiting: usize,
    /// Whether the limit adapts.
    pub adaptive: bool,
}

// === impl PolicyHandle ===

impl PolicyHandle {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self(core)
    }

    /// Changes the rate of the limiter, at once; what was granted stays granted.
    ///
    /// # Errors
    /// Fails when there is no rate limit, and for a rate that makes no sense.
    pub fn set_rate(&self, rate: Rate) -> Result<(), ChangeError> {
        let limiter = self.0.limiter.as_ref().ok_or(missing("rate limit"))?;
        Ok(limiter.set_rate(rate)?)
    }

    /// Holds the breaker open or closed, or lets it decide again, at once.
    ///
    /// # Errors
    /// Fails when there is no circuit breaker.
    pub fn force_breaker(&self, forced: Forced) -> Result<(), ChangeError> {
        let breaker = self.0.breaker.as_ref().ok_or(missing("circuit breaker"))?;
        breaker.force(forced);
        Ok(())
    }

    /// Changes how many calls may run at once; those that run are finished. An adaptive limit
    /// goes on from there.
    ///
    /// # Errors
    /// Fails when the concurrency is not limited here.
    pub fn set_concurrency(&self, limit: usize) -> Result<(), ChangeError> {
        let seats = self.0.seats.as_ref().ok_or(missing("concurrency limit"))?;
        seats.permits().set_limit(limit);
        Ok(())
    }

    /// Tells of each change of the breaker, until the subscription is dropped.
    ///
    /// Called by whoever causes the change: it must not block.
    ///
    /// # Errors
    /// Fails when there is no circuit breaker.
    pub fn on_breaker_change(
        &self,
        tell: impl Fn(&Transition) + Send + Sync + 'static,
    ) -> Result<Subscription, ChangeError> {
        let breaker = self.0.breaker.as_ref().ok_or(missing("circuit breaker"))?;
        Ok(breaker.on_change(tell))
    }

    /// Ends the waits for another attempt and for the service to come back, now and later:
    /// such calls fail with [`Interrupted`](crate::Interrupted). Calls that run, and those
    /// that wait for a limit, go on. For programs that stop.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// How the policies are doing.
    pub fn status(&self) -> PolicyStatus {
        let (core, now) = (&self.0, Instant::now());
        PolicyStatus {
            retry: core.retry.as_ref().map(|retry| RetryStatus {
                attempts: retry.attempts,
                retried: core.tally.retried(),
                budget_left: retry.budget.left(now),
                refused: core.tally.refused(),
            }),
            circuit_breaker: core.breaker.as_ref().map(|breaker| breaker.status(now)),
            breaker_rejected: core.tally.rejected(),
            rate_limit: core.limiter.as_ref().map(|limiter| RateLimitStatus {
                rate: limiter.rate(),
                waiting: limiter.waiting(),
                keys: limiter.keys(),
                rejected: core.tally.limited(),
            }),
            concurrency: core.seats.as_ref().map(|seats| ConcurrencyStatus {
                limit: seats.permits().limit(),
                in_use: seats.permits().in_use(),
                waiting: seats.permits().waiting(),
                adaptive: seats.measures(),
            }),
            timeout: core.timeout.map(|limit| TimeoutStatus {
                limit,
                timed_out: core.tally.timed_out(),
            }),
            parked: core.tally.parked(),
            waits: Waits::read(core.tally.waits()),
        }
    }
}

// === impl Waits ===

impl Waits {
    fn read(tally: &WaitTally) -> Self {
        Self {
            rate_limit: tally.read(WaitReason::RateLimit),
            circuit_breaker: tally.read(WaitReason::CircuitBreaker),
            concurrency: tally.read(WaitReason::Concurrency),
            service: tally.read(WaitReason::Service),
            backoff: tally.read(WaitReason::Backoff),
        }
    }
}

fn missing(policy: &'static str) -> ChangeError {
    ChangeError::Missing { policy }
}

impl fmt::Debug for PolicyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolicyHandle").field(&self.status()).finish()
    }
}
