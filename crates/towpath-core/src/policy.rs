//! What a stage's policies let themselves be told, and what they say of themselves.

mod status;

use std::{fmt, sync::Weak, time::Duration};

pub use status::PolicyStatus;

use crate::EventKind;

/// Is told what a policy does of its own accord, as events of its stage. Must not block.
pub type PolicyListener = dyn Fn(EventKind) + Send + Sync;

/// The policies of a stage, as the handle of its pipeline changes and reads them.
///
/// Changes hold for every worker at once, calls that wait included.
pub trait PolicyControl: Send + Sync {
    /// Lets through `calls` in each period of `per` from now on.
    ///
    /// # Errors
    /// Fails without a rate limit, and for a rate that it cannot keep.
    fn set_rate(&self, calls: u64, per: Duration) -> Result<(), PolicyError> {
        let _ = (calls, per);
        Err(PolicyError::missing("rate limit"))
    }

    /// Holds the circuit breaker open or closed, or lets it decide again.
    ///
    /// # Errors
    /// Fails without a circuit breaker.
    fn force_breaker(&self, forced: ForcedBreaker) -> Result<(), PolicyError> {
        let _ = forced;
        Err(PolicyError::missing("circuit breaker"))
    }

    /// The stage works on that many messages at once from now on, where a policy counts them.
    fn set_concurrency(&self, concurrency: usize) {
        let _ = concurrency;
    }

    /// The pipeline stops: calls that wait for another attempt, or for a service to come
    /// back, are not to wait any longer. Their messages go back to the source.
    fn drain(&self) {}

    /// How each policy is doing, outermost first.
    fn status(&self) -> Vec<PolicyStatus>;

    /// Tells `listener` what changes by itself: a breaker that opens, a limit that adapts.
    ///
    /// A listener that is gone is forgotten, so that a breaker shared by several stages
    /// keeps none of their pipelines.
    fn observe(&self, listener: Weak<PolicyListener>) {
        let _ = listener;
    }
}

/// Who decides whether a circuit breaker lets calls through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ForcedBreaker {
    /// It lets nothing through until told otherwise.
    Open,
    /// It lets everything through until told otherwise.
    Closed,
    /// It decides by itself.
    #[default]
    Auto,
}

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// No call goes through.
    Open,
    /// A few calls go through, to find out.
    HalfOpen,
}

/// A change that a policy does not make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// There is no such policy.
    #[error("there is no {policy}")]
    Missing {
        /// What there is none of, in words: `rate limit`.
        policy: &'static str,
    },
    /// The policy cannot be as asked.
    #[error("the {policy} cannot be {asked}: {why}")]
    Invalid {
        /// The policy, in words: `rate limit`.
        policy: &'static str,
        /// What was asked for.
        asked: String,
        /// Why it cannot be.
        why: String,
    },
}

// === impl PolicyError ===

impl PolicyError {
    /// There is no such policy.
    pub fn missing(policy: &'static str) -> Self {
        Self::Missing { policy }
    }

    /// The policy cannot be as asked.
    pub fn invalid(policy: &'static str, asked: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid {
            policy,
            asked: asked.into(),
            why: why.into(),
        }
    }
}

// === impl ForcedBreaker, BreakerState ===

impl fmt::Display for ForcedBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "forced open",
            Self::Closed => "forced closed",
            Self::Auto => "automatic",
        })
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half open",
        })
    }
}

#[cfg(test)]
mod tests {
    //! What policies that know nothing answer.

    use super::*;

    struct Mute;

    impl PolicyControl for Mute {
        fn status(&self) -> Vec<PolicyStatus> {
            Vec::new()
        }
    }

    #[test]
    fn a_policy_that_is_not_there_says_so() {
        let rate = Mute.set_rate(1, Duration::from_secs(1)).unwrap_err();
        assert_eq!(rate, PolicyError::missing("rate limit"));
        let breaker = Mute.force_breaker(ForcedBreaker::Open).unwrap_err();
        assert_eq!(breaker.to_string(), "there is no circuit breaker");
    }
}
