//! The policies that go around a service in one order, whatever the order they were given in.

mod handle;
mod single;

use std::{any::TypeId, fmt, marker::PhantomData, sync::Arc};

use serde::Deserialize;
use tokio::time::Instant;
use tower_layer::Layer;

pub use handle::{
    ChangeError, ConcurrencyStatus, PolicyHandle, PolicyStatus, RateLimitStatus, RetryStatus,
    TimeoutStatus, Waited, Waits,
};

use crate::{
    Again, CircuitBreaker, Classify, Concurrency, Flat, InvalidOptions, Once, Policed, Problems,
    RateLimit, Retry, Standard, Timeout,
    breaker::Breaker,
    policed::{Core, Drain, Seats, Tally},
    rate::Limiter,
};

/// Options of the policies around a service.
///
/// The order around the service does not depend on the order of the calls. Outermost first:
/// retry (with its deadline and budget) > circuit breaker > rate limit > concurrency > timeout
/// of the attempt > panic guard > service. So each attempt pays the limiter, and a call that
/// backs off holds no permit.
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use tower::{ServiceBuilder, service_fn};
/// use towpath_policy::{CircuitBreaker, Policies, RateLimit, Retry, Timeout};
///
/// let policies = Policies::new()
///     .rate_limit(RateLimit::per_second(500).burst(50))
///     .retry(Retry::exponential(Duration::from_millis(50), Duration::from_secs(10)))
///     .circuit_breaker(CircuitBreaker::failure_rate(0.5))
///     .timeout(Timeout::after(Duration::from_secs(2)))
///     .build()?;
/// let handle = policies.handle();
/// let service = ServiceBuilder::new()
///     .layer(policies)
///     .service(service_fn(|n: u32| async move { Ok::<_, Infallible>(n + 1) }));
/// # let _ = (service, handle);
/// # Ok::<(), towpath_policy::InvalidOptions>(())
/// ```
///
/// Read from data they have the names of the methods, and requests must be `Clone`:
///
/// ```
/// # use towpath_policy::{Again, Flat, Policies};
/// let policies: Policies<Flat, Again> = serde_json::from_str(
///     r#"{ "rate_limit": "500/s", "retry": { "attempts": 3 }, "timeout": "2s" }"#,
/// ).unwrap();
/// assert!(policies.build().is_ok());
/// ```
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(bound(deserialize = "RateLimit<L>: Deserialize<'de>"))]
#[must_use = "options do nothing until a service is built with them"]
pub struct Policies<L = Flat, R = Once> {
    rate_limit: Option<RateLimit<L>>,
    retry: Option<Retry>,
    circuit_breaker: Option<CircuitBreaker>,
    concurrency: Option<Concurrency>,
    timeout: Option<Timeout>,
    panic_guard: bool,
    #[serde(skip)]
    classify: Option<Arc<dyn Classify>>,
    #[serde(skip)]
    replay: PhantomData<fn() -> R>,
}

/// A tower layer that puts policies around a service.
///
/// All services that it is put around, and their clones, share the policies: one budget, one
/// breaker.
pub struct PolicyLayer<L = Flat, R = Once> {
    core: Arc<Core>,
    charge: Option<Arc<L>>,
    replay: PhantomData<fn() -> R>,
}

// === impl Policies ===

impl Policies {
    /// No policy: the service as it is.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<L: 'static, R> Policies<L, R> {
    /// Limits how many calls begin in a while.
    pub fn rate_limit<M>(self, rate_limit: RateLimit<M>) -> Policies<M, R> {
        Policies {
            rate_limit: Some(rate_limit),
            retry: self.retry,
            circuit_breaker: self.circuit_breaker,
            concurrency: self.concurrency,
            timeout: self.timeout,
            panic_guard: self.panic_guard,
            classify: self.classify,
            replay: PhantomData,
        }
    }

    /// Tries calls again that fail. Requests must be `Clone`.
    pub fn retry(self, retry: Retry) -> Policies<L, Again> {
        Policies {
            rate_limit: self.rate_limit,
            retry: Some(retry),
            circuit_breaker: self.circuit_breaker,
            concurrency: self.concurrency,
            timeout: self.timeout,
            panic_guard: self.panic_guard,
            classify: self.classify,
            replay: PhantomData,
        }
    }

    /// Stops calling a service that fails, until it works again.
    pub fn circuit_breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.circuit_breaker = Some(breaker);
        self
    }

    /// Limits how many calls run at once.
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = Some(concurrency);
        self
    }

    /// Ends attempts that take too long.
    pub fn timeout(mut self, timeout: Timeout) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Makes a panic of the service an error of the call.
    pub fn panic_guard(mut self) -> Self {
        self.panic_guard = true;
        self
    }

    /// Which errors are worth another attempt, and say that the service is down or busy.
    ///
    /// Goes before the classes of the [retry](Retry::classify).
    pub fn classify(mut self, classify: impl Classify) -> Self {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// Whether the calls that run at once are limited here.
    pub fn limits_concurrency(&self) -> bool {
        self.concurrency.is_some()
    }

    /// The highest limit of an adaptive concurrency.
    pub fn adapts_up_to(&self) -> Option<usize> {
        self.concurrency.as_ref()?.adapts_up_to()
    }

    /// What says which errors are worth another attempt.
    pub fn classifier(&self) -> Arc<dyn Classify> {
        let of_retry = self.retry.as_ref().map(Retry::classifier);
        let given = self.classify.clone().or(of_retry);
        given.unwrap_or_else(|| Arc::new(Standard::new()))
    }

    /// Whether calls may wait inside, without a permit: between two attempts, for the breaker,
    /// or for a key of the limiter.
    pub fn parks(&self) -> bool {
        self.retry.is_some()
            || self.circuit_breaker.is_some()
            || (self.rate_limit.is_some() && TypeId::of::<L>() != TypeId::of::<Flat>())
    }

    /// Each policy in a few words, outermost first.
    pub fn describe(&self) -> Vec<String> {
        let mut all = Vec::new();
        all.extend(self.retry.as_ref().map(|retry| format!("retry {retry}")));
        all.extend(self.circuit_breaker.as_ref().map(ToString::to_string));
        all.extend(self.rate_limit.as_ref().map(ToString::to_string));
        all.extend(self.concurrency.as_ref().map(ToString::to_string));
        all.extend(self.timeout.map(|limit| format!("timeout {limit}")));
        all.extend(self.panic_guard.then(|| "panic guard".to_owned()));
        all
    }

    /// Adds everything that is wrong with the options.
    pub fn problems(&self, problems: &mut Problems) {
        if let Some(limit) = &self.rate_limit {
            problems.within("rate_limit", |problems| limit.problems(problems));
        }
        if let Some(retry) = &self.retry {
            problems.within("retry", |problems| retry.problems(problems));
        }
        if let Some(breaker) = &self.circuit_breaker {
            problems.within("circuit_breaker", |problems| breaker.problems(problems));
        }
        if let Some(concurrency) = &self.concurrency {
            problems.within("concurrency", |problems| concurrency.problems(problems));
        }
        if let Some(timeout) = &self.timeout {
            problems.within("timeout", |problems| timeout.problems(problems));
        }
    }

    /// Makes the layer.
    ///
    /// # Errors
    /// Fails when an option makes no sense, and reports all of them, each with its path.
    pub fn build(&self) -> Result<PolicyLayer<L, R>, InvalidOptions> {
        let mut problems = Problems::new();
        self.problems(&mut problems);
        problems.into_result()?;
        let now = Instant::now();
        let breaker = self.build_breaker(now)?;
        let seats = self.concurrency.as_ref().map(Seats::new);
        let charge = self.rate_limit.as_ref().map(RateLimit::charge);
        let core = Core {
            limiter: self
                .rate_limit
                .as_ref()
                .map(|limit| Limiter::new(limit, now)),
            repeats: self.retry.as_ref().is_some_and(Retry::repeats)
                || breaker.as_ref().is_some_and(|breaker| !breaker.rejects()),
            wants_start: seats.as_ref().is_some_and(Seats::measures)
                || breaker.as_ref().is_some_and(Breaker::measures),
            breaker,
            seats,
            timeout: self.timeout.map(Timeout::limit),
            retry: self.retry.as_ref().map(|retry| retry.start(now)),
            classify: self.classifier(),
            guards: self.panic_guard,
            tally: Tally::default(),
            drain: Drain::default(),
        };
        Ok(PolicyLayer {
            core: Arc::new(core),
            charge,
            replay: PhantomData,
        })
    }
}

impl<L, R> Policies<L, R> {
    fn build_breaker(&self, now: Instant) -> Result<Option<Breaker>, InvalidOptions> {
        let Some(options) = &self.circuit_breaker else {
            return Ok(None);
        };
        Ok(Some(options.start(now)?))
    }
}

impl<L, R> Default for Policies<L, R> {
    fn default() -> Self {
        Self {
            rate_limit: None,
            retry: None,
            circuit_breaker: None,
            concurrency: None,
            timeout: None,
            panic_guard: false,
            classify: None,
            replay: PhantomData,
        }
    }
}

impl<L, R> Clone for Policies<L, R>
where
    RateLimit<L>: Clone,
{
    fn clone(&self) -> Self {
        Self {
            rate_limit: self.rate_limit.clone(),
            retry: self.retry.clone(),
            circuit_breaker: self.circuit_breaker.clone(),
            concurrency: self.concurrency.clone(),
            timeout: self.timeout,
            panic_guard: self.panic_guard,
            classify: self.classify.clone(),
            replay: PhantomData,
        }
    }
}

impl<L: 'static, R> fmt::Debug for Policies<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Policies").field(&self.describe()).finish()
    }
}

// === impl PolicyLayer ===

impl<L, R> PolicyLayer<L, R> {
    /// Looks at the policies and changes them while they run.
    pub fn handle(&self) -> PolicyHandle {
        PolicyHandle::new(self.core.clone())
    }
}

impl<S: Clone, L, R> Layer<S> for PolicyLayer<L, R> {
    type Service = Policed<S, L, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Policed::new(inner, self.core.clone(), self.charge.clone())
    }
}

impl<L, R> Clone for PolicyLayer<L, R> {
    fn clone(&self) -> Self {
        Self {
            core: self.core.clone(),
            charge: self.charge.clone(),
            replay: PhantomData,
        }
    }
}

impl<L, R> fmt::Debug for PolicyLayer<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyLayer")
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}
