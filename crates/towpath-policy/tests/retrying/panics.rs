//! Code of others that panics: what its call held is free, whoever catches the panic.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use futures_util::FutureExt;
use tower::{Layer, Service, ServiceExt};
use towpath_policy::{
    Again, BoxError, CircuitBreaker, Class, Concurrency, Flat, Policies, RateLimit, Retry,
    classify_fn, service_fn,
};

use super::{SECOND, assert_free, ms};

/// A request whose clone panics once.
struct Fragile(Arc<AtomicBool>);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(!self.0.swap(false, SeqCst), "the clone panics");
        Self(self.0.clone())
    }
}

/// Where the first call panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Clone,
    Call,
    Poll,
    Classifier,
    Schedule,
}

fn policies(at: At, armed: Arc<AtomicBool>) -> Policies<Flat, Again> {
    let trips = armed.clone();
    let schedule = move |_, _: &(dyn std::error::Error + 'static)| {
        assert!(
            at != At::Schedule || !trips.swap(false, SeqCst),
            "the schedule panics"
        );
        Some(ms(10))
    };
    let classify = classify_fn(move |_| {
        assert!(
            at != At::Classifier || !armed.swap(false, SeqCst),
            "the classifier panics"
        );
        Class::TRANSIENT
    });
    Policies::new()
        .retry(Retry::custom(schedule).attempts(2))
        .classify(classify)
        .rate_limit(RateLimit::per_second(100))
        .circuit_breaker(CircuitBreaker::failure_rate(0.9).min_calls(100))
        .concurrency(Concurrency::limit(1))
}

#[tokio::test(start_paused = true)]
async fn whatever_panics_in_a_call_the_permit_it_held_is_free() {
    for at in [At::Clone, At::Call, At::Poll, At::Classifier, At::Schedule] {
        let armed = Arc::new(AtomicBool::new(true));
        let layer = policies(at, armed.clone()).build().unwrap();
        let trips = armed.clone();
        let service = layer.layer(service_fn(move |_: Fragile| {
            assert!(
                at != At::Call || !trips.swap(false, SeqCst),
                "the call panics"
            );
            let trips = trips.clone();
            async move {
                tokio::time::sleep(ms(1)).await;
                assert!(
                    at != At::Poll || !trips.swap(false, SeqCst),
                    "the future panics"
                );
                Err::<(), _>(BoxError::from("no"))
            }
        }));
        let fragile = match at {
            At::Clone => armed.clone(),
            _ => Arc::default(),
        };
        let broken = service.clone().oneshot(Fragile(fragile));
        let panicked = AssertUnwindSafe(broken).catch_unwind().await;
        assert!(panicked.is_err(), "{at:?} has not panicked");
        assert_free(&layer.handle());
        // The next one gets in, at once.
        let next = service.oneshot(Fragile(Arc::default()));
        let next = tokio::time::timeout(SECOND, next).await;
        next.unwrap_or_else(|_| panic!("after {at:?} nobody gets in"))
            .unwrap_err();
        assert_free(&layer.handle());
    }
}

#[tokio::test(start_paused = true)]
async fn a_guarded_panic_is_an_error_of_its_call_and_is_not_tried_again() {
    let layer = Policies::new()
        .retry(Retry::fixed(SECOND))
        .concurrency(Concurrency::limit(1))
        .panic_guard()
        .build()
        .unwrap();
    let mut service = layer.layer(service_fn(|n: u32| async move {
        tokio::time::sleep(ms(1)).await;
        assert!(n != 0, "zero");
        Ok::<_, BoxError>(n)
    }));
    let error = service.ready().await.unwrap().call(0).await.unwrap_err();
    assert!(error.is::<towpath_policy::Panicked>(), "{error:?}");
    assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), 1);
    assert_free(&layer.handle());
}
