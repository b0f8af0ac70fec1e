//! The policies of a stage as the handle of its pipeline sees them.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use towpath_core::{
    BreakerState, EventKind, ForcedBreaker, PolicyControl, PolicyError, PolicyListener,
    PolicyStatus,
};
use towpath_policy::{
    BreakerState as State, BreakerStatus, ChangeError, Forced, PolicyHandle,
    PolicyStatus as Policies, Rate, RetryStatus, Subscription,
};

/// Looks at a policy: how it is doing, where it is there.
pub(super) type Look = Box<dyn Fn() -> Option<PolicyStatus> + Send + Sync>;

/// The handle of a stage's policies, with those who are told of changes.
pub(super) struct Control {
    handle: PolicyHandle,
    /// At the policies outside of those that the handle knows.
    looks: Vec<Look>,
    opened: Arc<AtomicU64>,
    /// Kept while the stage lives: one per pipeline that runs it.
    told: Mutex<Vec<Subscription>>,
}

impl Control {
    pub(super) fn new(handle: PolicyHandle, looks: Vec<Look>) -> Self {
        let opened = Arc::new(AtomicU64::new(0));
        let counter = opened.clone();
        let counts = handle.on_breaker_change(move |change| {
            let opens = |state| state == BreakerState::Open;
            if opens(state(change.to)) && !opens(state(change.from)) {
                counter.fetch_add(1, Relaxed);
            }
        });
        Self {
            handle,
            looks,
            opened,
            told: Mutex::new(counts.into_iter().collect()),
        }
    }

    fn breaker_status(&self, all: &Policies, breaker: &BreakerStatus) -> PolicyStatus {
        PolicyStatus::CircuitBreaker {
            state: state(breaker.state),
            forced: match breaker.state {
                State::ForcedOpen => ForcedBreaker::Open,
                State::ForcedClosed => ForcedBreaker::Closed,
                _ => ForcedBreaker::Auto,
            },
            failure_rate: (breaker.calls > 0).then_some(breaker.failure_rate),
            slow_rate: (breaker.slow_rate > 0.0).then_some(breaker.slow_rate),
            calls: breaker.calls,
            opened: self.opened.load(Relaxed),
            waited: all.waits.circuit_breaker.count,
            waited_for: all.waits.circuit_breaker.time,
            rejected: all.breaker_rejected,
        }
    }
}

impl PolicyControl for Control {
    fn set_rate(&self, calls: u64, per: Duration) -> Result<(), PolicyError> {
        let refused =
            |why: String| PolicyError::invalid("rate limit", format!("{calls} per {per:?}"), why);
        let count = u32::try_from(calls).map_err(|error| refused(error.to_string()))?;
        let changed = self.handle.set_rate(Rate::new(count, per));
        changed.map_err(|error| match error {
            ChangeError::Missing { policy } => PolicyError::missing(policy),
            ChangeError::Rate(invalid) => refused(invalid.to_string()),
            other => refused(other.to_string()),
        })
    }

    fn force_breaker(&self, forced: ForcedBreaker) -> Result<(), PolicyError> {
        let forced = match forced {
            ForcedBreaker::Open => Forced::Open,
            ForcedBreaker::Closed => Forced::Closed,
            ForcedBreaker::Auto => Forced::Auto,
        };
        let changed = self.handle.force_breaker(forced);
        changed.map_err(|_| PolicyError::missing("circuit breaker"))
    }

    fn set_concurrency(&self, concurrency: usize) {
        // Without permits the slots count the calls, and know already.
        drop(self.handle.set_concurrency(concurrency));
    }

    fn drain(&self) {
        self.handle.drain();
    }

    fn status(&self) -> Vec<PolicyStatus> {
        let all = self.handle.status();
        let retry = all.retry.map(retry_status);
        let breaker = all.circuit_breaker.as_ref();
        let breaker = breaker.map(|breaker| self.breaker_status(&all, breaker));
        let limit = all.rate_limit.map(|limit| PolicyStatus::RateLimit {
            calls: limit.rate.count().into(),
            per: limit.rate.period(),
            waiting: limit.waiting,
            keys: (limit.keys > 0).then_some(limit.keys),
            waited: all.waits.rate_limit.count,
            waited_for: all.waits.rate_limit.time,
            rejected: limit.rejected,
        });
        let concurrency = all.concurrency.map(|seats| PolicyStatus::Concurrency {
            limit: seats.limit,
            in_use: seats.in_use,
            waiting: seats.waiting,
            adaptive: seats.adaptive,
            waited: all.waits.concurrency.count,
            waited_for: all.waits.concurrency.time,
        });
        let timeout = all.timeout.map(|timeout| PolicyStatus::Timeout {
            after: timeout.limit,
            timed_out: timeout.timed_out,
        });
        let outer = self.looks.iter().filter_map(|look| look());
        let inner = [retry, breaker, limit, concurrency, timeout];
        outer.chain(inner.into_iter().flatten()).collect()
    }

    fn observe(&self, listener: Weak<PolicyListener>) {
        let subscription = self.handle.on_breaker_change(move |change| {
            let (from, to) = (state(change.from), state(change.to));
            // Held where it is already changes nothing for the messages.
            if let (true, Some(listener)) = (from != to, listener.upgrade()) {
                listener(EventKind::BreakerChanged { from, to });
            }
        });
        if let Ok(subscription) = subscription {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.push(subscription);
        }
    }
}

fn retry_status(retry: RetryStatus) -> PolicyStatus {
    PolicyStatus::Retry {
        max_attempts: retry.attempts,
        retried: retry.retried,
        budget_left: Some(retry.budget_left),
        refused: retry.refused,
    }
}

fn state(state: State) -> BreakerState {
    match state {
        State::Closed | State::ForcedClosed => BreakerState::Closed,
        State::HalfOpen => BreakerState::HalfOpen,
        // What may be added lets nothing through either.
        _ => BreakerState::Open,
    }
}

#[cfg(test)]
mod tests {
    //! What the handle of a pipeline reads of waits and refusals.

    use std::future::poll_fn;

    use tower_layer::Layer;
    use tower_service::Service;
    use towpath_core::BoxError;
    use towpath_policy::{CircuitBreaker, PolicyLayer, RateLimit, service_fn};

    use super::*;

    async fn called(layer: &PolicyLayer, calls: u32) -> Vec<Result<u32, BoxError>> {
        let mut service = layer.layer(service_fn(|n: u32| async move { Ok::<_, BoxError>(n) }));
        let mut answers = Vec::new();
        for n in 0..calls {
            poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
            answers.push(service.call(n).await);
        }
        answers
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_rate_are_read_with_their_time() {
        let limit = RateLimit::per_second(10).burst(1).build().unwrap();
        assert!(called(&limit, 3).await.iter().all(Result::is_ok));
        let status = Control::new(limit.handle(), Vec::new()).status();
        let [
            PolicyStatus::RateLimit {
                waited: 2,
                waited_for,
                rejected: 0,
                ..
            },
        ] = status[..]
        else {
            panic!("{status:?}");
        };
        assert_eq!(waited_for.as_millis() / 10, 20);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_a_breaker_and_a_limiter_have_refused_are_read() {
        let breaker = CircuitBreaker::failure_rate(0.5)
            .rejecting()
            .build()
            .unwrap();
        breaker.handle().force_breaker(Forced::Open).unwrap();
        assert!(called(&breaker, 3).await.iter().all(Result::is_err));
        let status = Control::new(breaker.handle(), Vec::new()).status();
        assert!(
            matches!(
                status[..],
                [PolicyStatus::CircuitBreaker {
                    rejected: 3,
                    waited: 0,
                    ..
                }]
            ),
            "{status:?}"
        );
        let limit = RateLimit::per_second(10).burst(1).rejecting();
        let limit = limit.build().unwrap();
        let refused = called(&limit, 3)
            .await
            .iter()
            .filter(|a| a.is_err())
            .count();
        let status = Control::new(limit.handle(), Vec::new()).status();
        assert!(
            refused == 2 && matches!(status[..], [PolicyStatus::RateLimit { rejected: 2, .. }]),
            "{status:?}"
        );
    }
}
