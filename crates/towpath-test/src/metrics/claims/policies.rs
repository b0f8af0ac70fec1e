//! What the metrics have to say of the policies of a stage.

use std::time::Duration;

use towpath::core::{BreakerState, ForcedBreaker, PolicyStatus};

use super::{Claims, Figure, Labels};

/// The second of a kind is called `retry_2`, and so on.
pub(super) fn claim(policies: &[PolicyStatus], labels: &Labels<'_>, claims: &mut Claims<'_>) {
    for (i, policy) in policies.iter().enumerate() {
        let word = policy.policy();
        let same = policies[..i].iter().filter(|p| p.policy() == word).count();
        let mut name = word.replace(' ', "_");
        if same > 0 {
            name = format!("{name}_{}", same + 1);
        }
        let labels = [labels, &[("policy", &*name)]].concat();
        claim_gate(policy, &labels, claims);
        claim_other(policy, &labels, claims);
    }
}

fn claim_gate(policy: &PolicyStatus, labels: &Labels<'_>, claims: &mut Claims<'_>) {
    match policy {
        PolicyStatus::RateLimit {
            calls,
            per,
            waiting,
            keys,
            waited,
            waited_for,
            rejected,
            ..
        } => {
            let rate = Figure::Number(rate(*calls, *per));
            claims.add("towpath_rate_limit_calls_per_second", labels, rate);
            if let Some(keys) = keys {
                claims.count("towpath_rate_limit_keys", labels, *keys as u64);
            }
            claims.count("towpath_policy_waiting", labels, *waiting as u64);
            claims.count("towpath_policy_rejected_total", labels, *rejected);
            claims.waits(*waited, *waited_for, labels);
        }
        PolicyStatus::Concurrency {
            limit,
            in_use,
            waiting,
            waited,
            waited_for,
            ..
        } => {
            claims.count("towpath_concurrency_limit", labels, *limit as u64);
            claims.count("towpath_concurrency_in_use", labels, *in_use as u64);
            claims.count("towpath_policy_waiting", labels, *waiting as u64);
            claims.waits(*waited, *waited_for, labels);
        }
        PolicyStatus::CircuitBreaker { .. } => claims.breaker(policy, labels),
        _ => {}
    }
}

fn claim_other(policy: &PolicyStatus, labels: &Labels<'_>, claims: &mut Claims<'_>) {
    let mut count = |name: &str, count: u64| {
        claims.count(&format!("towpath_{name}"), labels, count);
    };
    match policy {
        PolicyStatus::Retry {
            retried,
            budget_left,
            refused,
            ..
        } => {
            count("retry_retried_total", *retried);
            count("retry_refused_total", *refused);
            if let Some(left) = budget_left {
                count("retry_budget_left", *left);
            }
        }
        PolicyStatus::Timeout { timed_out, .. } => count("timeout_timed_out_total", *timed_out),
        PolicyStatus::Deadline { exceeded, .. } => count("deadline_exceeded_total", *exceeded),
        PolicyStatus::Dedup { keys, duplicates } => {
            count("dedup_duplicates_total", *duplicates);
            count("dedup_keys", *keys as u64);
        }
        PolicyStatus::Hedge { hedged, won } => {
            count("hedge_hedged_total", *hedged);
            count("hedge_won_total", *won);
        }
        PolicyStatus::Fallback { used } => count("fallback_used_total", *used),
        _ => {}
    }
}

// === impl Claims ===

impl Claims<'_> {
    fn breaker(&mut self, policy: &PolicyStatus, labels: &Labels<'_>) {
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
        let states = [
            ("closed", u64::from(*state == BreakerState::Closed)),
            ("open", u64::from(*state == BreakerState::Open)),
            ("half_open", u64::from(*state == BreakerState::HalfOpen)),
        ];
        self.each("towpath_breaker_state", labels, "state", states);
        let forced = u64::from(*forced != ForcedBreaker::Auto);
        self.count("towpath_breaker_forced", labels, forced);
        self.count("towpath_breaker_opened_total", labels, *opened);
        for (name, rate) in [
            ("towpath_breaker_failure_rate_ratio", failure_rate),
            ("towpath_breaker_slow_rate_ratio", slow_rate),
        ] {
            if let Some(rate) = rate {
                self.add(name, labels, Figure::Number(*rate));
            }
        }
        self.count("towpath_policy_rejected_total", labels, *rejected);
        self.waits(*waited, *waited_for, labels);
    }

    fn waits(&mut self, waited: u64, waited_for: Duration, labels: &Labels<'_>) {
        self.count("towpath_policy_waited_total", labels, waited);
        self.time("towpath_policy_wait_time_seconds_total", labels, waited_for);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "limits are far below 2^52 calls"
)]
fn rate(calls: u64, per: Duration) -> f64 {
    calls as f64 / per.as_secs_f64()
}
