//! Calls of one task, dropped at any moment, or so many that the task uses up its turn.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;
use towpath_policy::{BoxError, CircuitBreaker, Concurrency, RateLimit, Retry, Timeout};

use super::{SECOND, Seen, assert_free, ms, policed, retry};

#[tokio::test(start_paused = true)]
async fn every_call_of_a_task_that_has_used_up_its_turn_wakes_up_again() {
    // A task may make a hundred and some steps in one turn: these are thousands.
    let seen = Seen::default();
    let act = |_, before| {
        if before < 3000 {
            Err("no".into())
        } else {
            Ok(())
        }
    };
    let policies = retry(Retry::fixed(SECOND).attempts(5).budget_at_least(100_000));
    let (service, handle) = policed(&policies, seen.service(ms(10), act));
    let begun = Instant::now();
    let all = join_all((0..1000).map(|n| service.clone().oneshot(n)));
    let answers = timeout(3600 * SECOND, all)
        .await
        .expect("somebody was not woken");
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((begun.elapsed(), seen.len()), (ms(3040), 4000));
    assert_free(&handle);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_of_a_task_that_has_used_up_its_turn_ends_in_time() {
    let seen = Seen::default();
    let policies = retry(Retry::fixed(SECOND).attempts(1)).timeout(Timeout::after(ms(100)));
    let (service, handle) = policed(&policies, seen.service(3600 * SECOND, super::always));
    let begun = Instant::now();
    let answers = join_all((0..1000).map(|n| service.clone().oneshot(n))).await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(begun.elapsed(), ms(100));
    assert_free(&handle);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_any_moment_leaves_nothing_behind() {
    let policies = || {
        retry(Retry::fixed(ms(20)).attempts(4).budget_at_least(100_000))
            .concurrency(Concurrency::limit(2))
            .rate_limit(RateLimit::per_second(200).burst(1))
            .timeout(Timeout::after(ms(15)))
            .circuit_breaker(
                CircuitBreaker::failure_rate(0.5)
                    .min_calls(3)
                    .open_for(ms(50)),
            )
    };
    for moment in 0..150 {
        let seen = Seen::default();
        let act = |request, before: usize| match (request as usize + before) % 3 {
            0 => Ok(()),
            _ => Err(BoxError::from("no")),
        };
        let takes = ms(5 + moment % 9);
        let (service, handle) = policed(&policies(), seen.service(takes, act));
        let calls = join_all((0..8).map(|n| service.clone().oneshot(n)));
        drop(timeout(ms(moment), calls).await);
        assert_free(&handle);
        // Whatever state it was left in, it works on.
        sleep(SECOND).await;
        let next = join_all((0..8).map(|n| service.clone().oneshot(n * 3)));
        let ended = timeout(Duration::from_secs(600), next).await;
        assert!(
            ended.is_ok(),
            "stuck after a drop at {moment} ms: {:?}",
            handle.status()
        );
        assert_free(&handle);
    }
}
