//! Many threads at once.

use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_no_call_waits_for_ever_and_everything_is_given_back() {
    let policies = Policies::new()
        .rate_limit(RateLimit::per_second(1_000_000).burst(4))
        .circuit_breaker(
            CircuitBreaker::failure_rate(0.3)
                .over_calls(10)
                .open_for(Duration::from_millis(1))
                .half_open_for(HOUR)
                .probes(2),
        )
        .concurrency(Concurrency::limit(3))
        .retry(
            Retry::fixed(Duration::from_micros(10))
                .attempts(1000)
                .budget(1000.0),
        )
        .build()
        .unwrap();
    let handle = policies.handle();
    let calls = Arc::new(AtomicUsize::new(0));
    let flaky = tower::service_fn(move |n: u64| {
        let index = calls.fetch_add(1, SeqCst);
        async move {
            tokio::task::yield_now().await;
            // Every tenth round of calls fails.
            if index / 7 % 10 == 3 {
                return Err(std::io::Error::other("down"));
            }
            Ok(n)
        }
    });
    let service = policies.layer(flaky);
    let mut callers = JoinSet::new();
    for caller in 0..16_u64 {
        let service = service.clone();
        callers.spawn(async move {
            for n in 0..500 {
                let call = service.clone().oneshot(n);
                if (caller + n) % 5 == 0 {
                    // Dropped wherever it is.
                    let few = Duration::from_micros((n * 37) % 900);
                    drop(timeout(few, call).await);
                } else {
                    assert_eq!(call.await.unwrap(), n);
                }
            }
        });
    }
    let all = timeout(60 * SECOND, callers.join_all());
    all.await.expect("nobody is stuck");
    let status = handle.status();
    assert_eq!(status.parked, 0);
    let seats = status.concurrency.unwrap();
    assert_eq!((seats.in_use, seats.waiting), (0, 0));
    let breaker = status.circuit_breaker.unwrap();
    assert_eq!(breaker.probes, 0);
    assert!(breaker.generation > 10, "{breaker:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drain_that_comes_as_calls_begin_to_wait_is_heard_by_all() {
    for _ in 0..500 {
        let policies = Policies::new().circuit_breaker(touchy()).build().unwrap();
        let handle = policies.handle();
        handle.force_breaker(Forced::Open).unwrap();
        let service = policies.layer(Backend::new());
        let mut callers = JoinSet::new();
        for n in 0..4 {
            callers.spawn(service.clone().oneshot(n));
        }
        tokio::task::yield_now().await;
        handle.drain();
        let ended = timeout(60 * SECOND, callers.join_all()).await;
        assert!(ended.expect("nobody is stuck").iter().all(Result::is_err));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_breaker_that_is_forced_closed_as_calls_begin_to_wait_lets_all_go() {
    for _ in 0..500 {
        let policies = Policies::new().circuit_breaker(touchy()).build().unwrap();
        let handle = policies.handle();
        handle.force_breaker(Forced::Open).unwrap();
        let service = policies.layer(Backend::new());
        let mut callers = JoinSet::new();
        for n in 0..4 {
            callers.spawn(service.clone().oneshot(n));
        }
        tokio::task::yield_now().await;
        handle.force_breaker(Forced::Closed).unwrap();
        let ended = timeout(60 * SECOND, callers.join_all()).await;
        assert!(ended.expect("nobody is stuck").iter().all(Result::is_ok));
    }
}
