//! Calls that end before they reach the backend, or say nothing of it.

use super::*;

/// A service that fails before it can be called, at first.
#[derive(Clone)]
struct Unready {
    asked: Arc<AtomicUsize>,
    failed: bool,
}

impl Service<u64> for Unready {
    type Response = u64;
    type Error = BoxError;
    type Future = std::future::Ready<Result<u64, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        assert!(!self.failed, "a service that has failed is asked again");
        self.failed = self.asked.fetch_add(1, SeqCst) < 7;
        Poll::Ready(if self.failed {
            Err("no connection".into())
        } else {
            Ok(())
        })
    }

    fn call(&mut self, n: u64) -> Self::Future {
        std::future::ready(Ok(n))
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_before_it_is_called_opens_the_breaker_and_is_tried_as_seldom() {
    let policies = Policies::new()
        .circuit_breaker(touchy().min_calls(1))
        .retry(Retry::fixed(SECOND))
        .build()
        .unwrap();
    let handle = policies.handle();
    let asked = Arc::new(AtomicUsize::new(0));
    let backend = Unready {
        asked: asked.clone(),
        failed: false,
    };
    let begun = Instant::now();
    let answer = policies.layer(backend).oneshot(8).await;
    assert_eq!(answer.unwrap(), 8);
    // The first failure is not believed: a clone is asked once more.
    assert_eq!((asked.load(SeqCst), begun.elapsed()), (8, 6 * OPEN));
    assert_eq!(state(&handle), BreakerState::Closed);
}

/// As `towpath_policy::Panicked` is when somebody thinks it is worth another attempt.
#[tokio::test(start_paused = true)]
async fn a_probe_that_says_nothing_of_the_backend_is_not_repeated_at_once_for_ever() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let panics = tower::service_fn(move |n: u64| {
        counter.fetch_add(1, SeqCst);
        async move {
            assert!(n > 100, "it panics");
            Ok::<_, BoxError>(n)
        }
    });
    let policies = Policies::new()
        .circuit_breaker(touchy())
        .retry(Retry::fixed(SECOND).attempts(3))
        .classify(towpath_policy::Standard::new().transient::<towpath_policy::Panicked>())
        .panic_guard()
        .build()
        .unwrap();
    let handle = policies.handle();
    let service = policies.layer(panics);
    handle.force_breaker(Forced::Open).unwrap();
    handle.force_breaker(Forced::Auto).unwrap();
    assert_eq!(state(&handle), BreakerState::HalfOpen);
    assert!(service.clone().oneshot(1).await.is_err());
    assert_eq!(calls.load(SeqCst), 3, "its attempts, and no more");
    assert_eq!(service.oneshot(101).await.unwrap(), 101);
    assert_eq!(state(&handle), BreakerState::Closed);
}
