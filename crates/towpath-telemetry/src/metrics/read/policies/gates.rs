//! The policies that let a call through, let it wait, or refuse it.

use std::time::Duration;

use towpath_core::{BreakerState, ForcedBreaker, PolicyStatus};

use super::{Collector, Labels, word};
use crate::metrics::catalog;

const BREAKER_STATES: [BreakerState; 3] = [
    BreakerState::Closed,
    BreakerState::Open,
    BreakerState::HalfOpen,
];

pub(super) fn rate_limit(policy: &PolicyStatus, labels: &Labels, into: &mut Collector) {
    let PolicyStatus::RateLimit {
        calls,
        per,
        waiting,
        keys,
        waited,
        waited_for,
        rejected,
        ..
    } = policy
    else {
        return;
    };
    into.number(&catalog::RATE_LIMIT_CALLS, labels, per_second(*calls, *per));
    if let Some(keys) = keys {
        into.size(&catalog::RATE_LIMIT_KEYS, labels, *keys);
    }
    into.size(&catalog::POLICY_WAITING, labels, *waiting);
    into.count(&catalog::POLICY_REJECTED, labels, *rejected);
    waits(*waited, *waited_for, labels, into);
}

pub(super) fn concurrency(policy: &PolicyStatus, labels: &Labels, into: &mut Collector) {
    let PolicyStatus::Concurrency {
        limit,
        in_use,
        waiting,
        waited,
        waited_for,
        ..
    } = policy
    else {
        return;
    };
    into.size(&catalog::CONCURRENCY_LIMIT, labels, *limit);
    into.size(&catalog::CONCURRENCY_IN_USE, labels, *in_use);
    into.size(&catalog::POLICY_WAITING, labels, *waiting);
    waits(*waited, *waited_for, labels, into);
}

pub(super) fn breaker(policy: &PolicyStatus, labels: &Labels, into: &mut Collector) {
    let PolicyStatus::CircuitBreaker {
        state,
        forced,
        failure_rate,
        slow_rate,
        opened,
        waited,
        waited_for,
        rejected,
        ..
    } = policy
    else {
        return;
    };
    for each in BREAKER_STATES {
        let labels = labels.with("state", &word(&each));
        into.is(&catalog::BREAKER_STATE, &labels, *state == each);
    }
    let forced = *forced != ForcedBreaker::Auto;
    into.is(&catalog::BREAKER_FORCED, labels, forced);
    into.count(&catalog::BREAKER_OPENED, labels, *opened);
    if let Some(rate) = failure_rate {
        into.number(&catalog::BREAKER_FAILURE_RATE, labels, *rate);
    }
    if let Some(rate) = slow_rate {
        into.number(&catalog::BREAKER_SLOW_RATE, labels, *rate);
    }
    into.count(&catalog::POLICY_REJECTED, labels, *rejected);
    waits(*waited, *waited_for, labels, into);
}

fn waits(waited: u64, waited_for: Duration, labels: &Labels, into: &mut Collector) {
    into.count(&catalog::POLICY_WAITED, labels, waited);
    into.seconds(&catalog::POLICY_WAIT_TIME, labels, waited_for);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people, not an account"
)]
fn per_second(calls: u64, per: Duration) -> f64 {
    calls as f64 / per.as_secs_f64()
}
