//! How policies are doing, as data.

use std::time::Duration;

use super::{BreakerState, ForcedBreaker};

/// How a policy is doing.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "policy", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PolicyStatus {
    /// How many calls are let through per time.
    RateLimit {
        /// The calls of a period.
        calls: u64,
        /// The period.
        #[serde(rename = "per_ms", serialize_with = "crate::words::as_millis")]
        per: Duration,
        /// Calls that wait for their turn.
        waiting: usize,
        /// Keys with a budget of their own now; `None` with one budget for all.
        keys: Option<usize>,
        /// How often a call has waited for its turn so far; each attempt counts.
        waited: u64,
        /// How long, added up.
        #[serde(rename = "waited_ms", serialize_with = "crate::words::as_millis")]
        waited_for: Duration,
        /// Calls that it refused so far.
        rejected: u64,
    },
    /// Whether calls are let through at all.
    CircuitBreaker {
        /// Closed, open or half open.
        state: BreakerState,
        /// Who decides.
        forced: ForcedBreaker,
        /// The part of the calls in its window that failed, 0 to 1; `None` without any.
        failure_rate: Option<f64>,
        /// The part of the calls in its window that were slow, 0 to 1; `None` where it does
        /// not look.
        slow_rate: Option<f64>,
        /// The calls in its window.
        calls: u64,
        /// How often it has opened.
        opened: u64,
        /// How often a call has waited for it so far; each attempt counts.
        waited: u64,
        /// How long, added up.
        #[serde(rename = "waited_ms", serialize_with = "crate::words::as_millis")]
        waited_for: Duration,
        /// Calls that it refused so far.
        rejected: u64,
    },
    /// How often a call is tried again in place.
    Retry {
        /// The most attempts at one message.
        max_attempts: u32,
        /// Attempts beyond the first so far.
        retried: u64,
        /// The retries that the budget allows now; `None` without one.
        budget_left: Option<u64>,
        /// Retries that the budget refused so far.
        refused: u64,
    },
    /// How many calls run at once.
    Concurrency {
        /// The limit now.
        limit: usize,
        /// Calls that run.
        in_use: usize,
        /// Calls that wait for their turn.
        waiting: usize,
        /// Whether the limit adapts by itself.
        adaptive: bool,
        /// How often a call has waited for its turn so far; each attempt counts.
        waited: u64,
        /// How long, added up.
        #[serde(rename = "waited_ms", serialize_with = "crate::words::as_millis")]
        waited_for: Duration,
    },
    /// How long an attempt may take.
    Timeout {
        /// The limit.
        #[serde(rename = "after_ms", serialize_with = "crate::words::as_millis")]
        after: Duration,
        /// Attempts cut short so far.
        timed_out: u64,
    },
    /// How long a call may take, all attempts and waits included.
    Deadline {
        /// The limit.
        #[serde(rename = "after_ms", serialize_with = "crate::words::as_millis")]
        after: Duration,
        /// Calls cut short so far.
        exceeded: u64,
    },
    /// Whether what was seen already is left out.
    Dedup {
        /// The keys it remembers.
        keys: usize,
        /// Calls left out so far.
        duplicates: u64,
    },
    /// Whether a slow call is made a second time beside itself.
    Hedge {
        /// Second calls so far.
        hedged: u64,
        /// Second calls that answered first.
        won: u64,
    },
    /// What answers instead of a call that failed.
    Fallback {
        /// Answers so far.
        used: u64,
    },
}

impl PolicyStatus {
    /// The policy, in words: `rate limit`, `circuit breaker`..
    pub fn policy(&self) -> &'static str {
        match self {
            Self::RateLimit { .. } => "rate limit",
            Self::CircuitBreaker { .. } => "circuit breaker",
            Self::Retry { .. } => "retry",
            Self::Concurrency { .. } => "concurrency",
            Self::Timeout { .. } => "timeout",
            Self::Deadline { .. } => "deadline",
            Self::Dedup { .. } => "dedup",
            Self::Hedge { .. } => "hedge",
            Self::Fallback { .. } => "fallback",
        }
    }
}

#[cfg(test)]
mod tests {
    //! How a policy is shown.

    use super::*;

    #[test]
    fn a_status_is_one_flat_object_with_its_policy_and_times_in_milliseconds() {
        let limit = PolicyStatus::RateLimit {
            calls: 500,
            per: Duration::from_secs(1),
            waiting: 3,
            keys: None,
            waited: 7,
            waited_for: Duration::from_millis(1_250),
            rejected: 0,
        };
        let expected = serde_json::json!({
            "policy": "rate_limit", "calls": 500, "per_ms": 1000, "waiting": 3, "keys": null,
            "waited": 7, "waited_ms": 1250, "rejected": 0,
        });
        assert_eq!(serde_json::to_value(&limit).unwrap(), expected);
        assert_eq!(limit.policy(), "rate limit");
        let breaker = PolicyStatus::CircuitBreaker {
            state: BreakerState::HalfOpen,
            forced: ForcedBreaker::Auto,
            failure_rate: Some(0.5),
            slow_rate: None,
            calls: 10,
            opened: 1,
            waited: 0,
            waited_for: Duration::ZERO,
            rejected: 4,
        };
        let shown = serde_json::to_value(&breaker).unwrap();
        assert_eq!(
            (&shown["policy"], &shown["state"], &shown["forced"]),
            (
                &"circuit_breaker".into(),
                &"half_open".into(),
                &"auto".into()
            )
        );
    }
}
