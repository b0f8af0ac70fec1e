//! Policies around a service, call by call: each of ours alone, the four together, and tower's.

use std::fmt::Debug;
use std::time::Duration;

use tokio::runtime::Runtime;
use tower::{
    ServiceBuilder, ServiceExt,
    limit::ConcurrencyLimitLayer,
    retry::{Policy, RetryLayer},
    timeout::TimeoutLayer,
};
use tower_service::Service;
use towpath::{
    BoxError, CircuitBreaker, Concurrency, Policies, RateLimit, Retry, Timeout,
    policy::{Again, Flat, service_fn},
};

use crate::case::{Case, Job, Run};
use crate::message::{Counts, Message, Tally, source};
use crate::runtime::on_worker;
use crate::service::{ready, yields_once};

const TIMEOUT: Duration = Duration::from_secs(2);
const BASE: Duration = Duration::from_millis(50);
const CAP: Duration = Duration::from_secs(10);
/// More than any case makes.
const PLENTY: u32 = 500_000_000;

/// Each contender over a service that is ready at once, and over one that yields once.
macro_rules! cases {
    ($($name:literal => $layer:expr),* $(,)?) => {
        pub(super) const CASES: &[Case] = &[
            $(
                case(Job::Calls, $name, |runtime, messages| {
                    let service = service_fn(|message| async { Ok::<_, BoxError>(ready(message).await) });
                    drive(runtime, messages, ServiceBuilder::new().layer($layer).service(service))
                }),
                case(Job::Pending, $name, |runtime, messages| {
                    let service = service_fn(|message| async { Ok::<_, BoxError>(yields_once(message).await) });
                    drive(runtime, messages, ServiceBuilder::new().layer($layer).service(service))
                }),
            )*
        ];
    };
}

cases! {
    "towpath" => four().build().expect("these options are sound"),
    "no-policies" => tower::layer::util::Identity::new(),
    "retry" => retry().build().expect("these options are sound"),
    "circuit-breaker" => breaker().build().expect("these options are sound"),
    "rate-limit" => limit().build().expect("these options are sound"),
    "timeout" => Timeout::after(TIMEOUT).build().expect("these options are sound"),
    "concurrency" => Concurrency::limit(64).build().expect("these options are sound"),
    "adaptive" => Concurrency::adaptive().build().expect("these options are sound"),
    "with-concurrency" => four().concurrency(Concurrency::limit(64)).build()
        .expect("these options are sound"),
    "tower-timeout" => TimeoutLayer::new(TIMEOUT),
    "tower-concurrency" => ConcurrencyLimitLayer::new(64),
    "tower-retry" => RetryLayer::new(Attempts(5)),
    "tower-all" => (
        RetryLayer::new(Attempts(5)),
        ConcurrencyLimitLayer::new(64),
        TimeoutLayer::new(TIMEOUT),
    ),
}

pub(super) const fn case(job: Job, contender: &'static str, run: Run) -> Case {
    Case {
        job,
        contender,
        run,
    }
}

pub(super) fn four() -> Policies<Flat, Again> {
    Policies::new()
        .rate_limit(limit())
        .circuit_breaker(breaker())
        .timeout(Timeout::after(TIMEOUT))
        .retry(retry())
}

pub(super) fn retry() -> Retry {
    Retry::exponential(BASE, CAP)
}

pub(super) fn breaker() -> CircuitBreaker {
    CircuitBreaker::failure_rate(0.5)
}

pub(super) fn limit() -> RateLimit {
    RateLimit::per_second(PLENTY)
}

/// One call after the other, on one task: what a slot of a stage does.
pub(super) fn drive<S>(runtime: &Runtime, messages: u32, mut service: S) -> Counts
where
    S: Service<Message, Response = Message> + Send + 'static,
    S::Error: Debug + Send,
    S::Future: Send,
{
    let tally = on_worker(runtime, async move {
        let tally = Tally::shared();
        for message in source(messages) {
            let answer = match service.ready().await {
                Ok(service) => service.call(message).await,
                Err(error) => Err(error),
            };
            let answer = answer.expect("nothing here fails");
            tally.settle(&[answer]);
        }
        tally
    });
    tally.counts()
}

/// As many attempts as ours, at once and without a budget: what tower has without more words.
#[derive(Clone)]
struct Attempts(u32);

impl<E> Policy<Message, Message, E> for Attempts {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _request: &mut Message,
        result: &mut Result<Message, E>,
    ) -> Option<Self::Future> {
        if result.is_ok() || self.0 <= 1 {
            return None;
        }
        self.0 -= 1;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Message) -> Option<Message> {
        Some(request.clone())
    }
}
