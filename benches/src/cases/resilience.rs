//! tower-resilience around the same service, each layer alone and all four.

use std::convert::Infallible;
use std::time::Duration;

use tower::ServiceBuilder;
use tower_resilience::{
    circuitbreaker::{CircuitBreakerError, CircuitBreakerLayer},
    ratelimiter::{RateLimiterLayer, RateLimiterServiceError},
    retry::RetryLayer,
    timelimiter::{TimeLimiterError, TimeLimiterLayer},
};
use towpath::policy::service_fn;

use super::calls::{case, drive};
use crate::case::{Case, Job};
use crate::message::Message;
use crate::service::{ready, yields_once};

/// What a call fails with, from the inside out.
type Limited = RateLimiterServiceError<TimeLimiterError<Infallible>>;
type Broken = CircuitBreakerError<Limited>;

macro_rules! cases {
    ($($name:literal => $layer:expr),* $(,)?) => {
        pub(super) const CASES: &[Case] = &[
            $(
                case(Job::Calls, $name, |runtime, messages| {
                    let service = service_fn(|message| async { Ok::<_, Infallible>(ready(message).await) });
                    drive(runtime, messages, ServiceBuilder::new().layer($layer).service(service))
                }),
                case(Job::Pending, $name, |runtime, messages| {
                    let service = service_fn(|message| async { Ok::<_, Infallible>(yields_once(message).await) });
                    drive(runtime, messages, ServiceBuilder::new().layer($layer).service(service))
                }),
            )*
        ];
    };
}

cases! {
    "resilience-retry" => retry::<Infallible>(),
    "resilience-breaker" => breaker(),
    "resilience-limiter" => limiter(),
    "resilience-timeout" => timeout(),
    "resilience-all" => (retry::<Broken>(), breaker(), limiter(), timeout()),
}

fn retry<E>() -> RetryLayer<Message, Message, E> {
    RetryLayer::builder()
        .max_attempts(5)
        .exponential_backoff(Duration::from_millis(50))
        .build()
}

fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .build()
        .expect("these options are sound")
}

fn limiter() -> RateLimiterLayer {
    RateLimiterLayer::builder()
        .limit_for_period(500_000_000)
        .refresh_period(Duration::from_secs(1))
        .build()
        .expect("these options are sound")
}

fn timeout() -> TimeLimiterLayer {
    TimeLimiterLayer::builder()
        .timeout_duration(Duration::from_secs(2))
        .build()
}
