//! The figures of a stage's policies.

mod gates;

use std::collections::BTreeMap;

use towpath_core::PolicyStatus;

use super::collector::{Collector, Labels, word};
use crate::metrics::catalog;

/// Reads policies, outermost first. The second of a kind is called `retry_2`, and so on.
pub(super) fn read(policies: &[PolicyStatus], stage: &Labels, into: &mut Collector) {
    let mut seen = BTreeMap::new();
    for policy in policies {
        let nth = seen.entry(policy.policy()).or_insert(0);
        *nth += 1;
        let labels = stage.with("policy", &name(policy, *nth));
        read_policy(policy, &labels, into);
    }
}

fn name(policy: &PolicyStatus, nth: u32) -> String {
    let name = policy.policy().replace(' ', "_");
    match nth {
        1 => name,
        nth => format!("{name}_{nth}"),
    }
}

fn read_policy(policy: &PolicyStatus, labels: &Labels, into: &mut Collector) {
    match policy {
        PolicyStatus::RateLimit { .. } => gates::rate_limit(policy, labels, into),
        PolicyStatus::Concurrency { .. } => gates::concurrency(policy, labels, into),
        PolicyStatus::CircuitBreaker { .. } => gates::breaker(policy, labels, into),
        PolicyStatus::Retry { .. } => retry(policy, labels, into),
        PolicyStatus::Timeout { timed_out, .. } => {
            into.count(&catalog::TIMEOUT_TIMED_OUT, labels, *timed_out);
        }
        PolicyStatus::Deadline { exceeded, .. } => {
            into.count(&catalog::DEADLINE_EXCEEDED, labels, *exceeded);
        }
        PolicyStatus::Dedup { keys, duplicates } => {
            into.count(&catalog::DEDUP_DUPLICATES, labels, *duplicates);
            into.size(&catalog::DEDUP_KEYS, labels, *keys);
        }
        PolicyStatus::Hedge { hedged, won } => {
            into.count(&catalog::HEDGE_HEDGED, labels, *hedged);
            into.count(&catalog::HEDGE_WON, labels, *won);
        }
        PolicyStatus::Fallback { used } => into.count(&catalog::FALLBACK_USED, labels, *used),
        _ => {}
    }
}

fn retry(policy: &PolicyStatus, labels: &Labels, into: &mut Collector) {
    let PolicyStatus::Retry {
        retried,
        budget_left,
        refused,
        ..
    } = policy
    else {
        return;
    };
    into.count(&catalog::RETRY_RETRIED, labels, *retried);
    into.count(&catalog::RETRY_REFUSED, labels, *refused);
    if let Some(left) = budget_left {
        into.count(&catalog::RETRY_BUDGET_LEFT, labels, *left);
    }
}
