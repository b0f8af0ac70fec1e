//! Many failures at once: what the backend has to bear, and what others notice.

use std::time::Duration;

use tokio::time::Instant;
use towpath::{
    BoxError, CircuitBreaker, DeadLetter, Flow, ForcedBreaker, Processor, RateLimit, Retry,
    policy::{BreakerOpen, BudgetSpent, Exhausted, RateLimited},
};
use towpath_test::{Recorder, TestSource, assert_no_leaks, check};

use super::{Calls, SECOND, fails, letters, ms, rejected, retry_of};

/// No more attempts than (1 + ratio) for each call, and some for each second.
#[track_caller]
fn is_within_budget(attempts: usize, calls: f64, ratio: f64, per_second: f64, took: Duration) {
    let attempts = f64::from(u32::try_from(attempts).unwrap());
    let most = calls * (1.0 + ratio) + per_second * (took.as_secs_f64() + 1.0);
    assert!(
        attempts <= most && attempts >= 0.99 * calls * (1.0 + ratio),
        "{attempts} attempts, {most} are allowed"
    );
}

#[tokio::test(start_paused = true)]
async fn of_a_thousand_messages_that_all_fail_come_twelve_hundred_attempts() {
    for (ratio, per_second) in [(0.2, 10), (0.0, 5), (1.0, 0), (0.5, 1)] {
        let (source, outcomes) = TestSource::of(0..1000_u64);
        let (calls, begun) = (Calls::default(), Instant::now());
        let retry = Retry::exponential(ms(100), SECOND)
            .attempts(5)
            .budget(ratio)
            .budget_at_least(per_second);
        let running = Flow::from(source)
            .process(
                Processor::new("call", calls.handler(ms(10), fails(usize::MAX)))
                    .retry(retry)
                    .unordered(1000)
                    .workers(4),
            )
            .acknowledge()
            .start()
            .await
            .unwrap();
        let handle = running.handle().clone();
        outcomes.wait_for(1000).await;
        let refused = retry_of(&handle, "call").2;
        let report = running.join().await.unwrap();
        assert_no_leaks(&report);
        assert_eq!(outcomes.count("rejected"), 1000);
        is_within_budget(
            calls.len(),
            1000.0,
            ratio,
            f64::from(per_second),
            begun.elapsed(),
        );
        let spent = (0..1000).filter(|n| calls.of(*n).len() < 5).count();
        assert_eq!(refused, spent as u64, "every other one was refused by it");
        for n in (0..1000).filter(|n| calls.of(*n).len() < 5).take(10) {
            let made = calls.of(n).len();
            assert_eq!(
                rejected::<BudgetSpent>(&outcomes.only(n)).attempts as usize,
                made
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_that_rejects_spends_no_budget() {
    let (source, outcomes) = TestSource::of(0..200_u64);
    let calls = Calls::default();
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(1), fails(0)))
                .circuit_breaker(CircuitBreaker::failure_rate(0.5).rejecting())
                .retry(
                    Retry::fixed(ms(10))
                        .attempts(3)
                        .budget(0.0)
                        .budget_at_least(0),
                )
                .unordered(8)
                .workers(1),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    let handle = running.handle().clone();
    handle.force_breaker("call", ForcedBreaker::Open).unwrap();
    outcomes.wait_for(200).await;
    assert_eq!(
        retry_of(&handle, "call"),
        (0, 0, 0),
        "none is there, and none was refused"
    );
    check(&running.join().await.unwrap());
    assert_eq!(calls.len(), 0);
    assert_eq!(outcomes.count("rejected"), 200);
    let error = outcomes.only(7);
    assert_eq!(rejected::<Exhausted>(&error).attempts, 3);
    rejected::<BreakerOpen>(&error);
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_rejects_spends_no_budget_and_its_attempts_are_none() {
    let (source, outcomes) = TestSource::of(0..20_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(Duration::ZERO, fails(0)))
                .rate_limit(RateLimit::per_second(1).burst(1).rejecting())
                .retry(
                    Retry::fixed(ms(1))
                        .attempts(4)
                        .budget(0.5)
                        .budget_at_least(0),
                )
                .unordered(20)
                .workers(1),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    let handle = running.handle().clone();
    outcomes.wait_for(20).await;
    assert_eq!(
        retry_of(&handle, "call"),
        (10, 0, 0),
        "half a retry for each, all still there"
    );
    check(&running.join().await.unwrap());
    // Each is told when there is room, comes back then, and one of them finds it.
    assert!(
        (3 * SECOND..ms(3010)).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (4, 16)
    );
    let first = calls.all();
    assert!(first.iter().all(|call| call.attempt == 1), "{calls:?}");
    let refused = (0..20).find(|n| calls.of(*n).is_empty()).unwrap();
    rejected::<RateLimited>(&outcomes.only(refused));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_always_fails_is_one_letter_after_its_attempts_and_others_do_not_notice() {
    let (source, outcomes) = TestSource::of(0..500_u64);
    let (calls, letter_box) = (Calls::default(), Recorder::<DeadLetter>::new());
    let poison = |item, _| {
        if item == 7 {
            Err(BoxError::from("poison"))
        } else {
            Ok(())
        }
    };
    let begun = Instant::now();
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(10), poison))
                .retry(Retry::fixed(SECOND).attempts(4))
                .unordered(10)
                .workers(1),
        )
        .acknowledge()
        .dead_letter(letter_box.sink("letters"))
        .start()
        .await
        .unwrap();
    outcomes.wait_for(499).await;
    assert_eq!(begun.elapsed(), ms(500), "as fast as without it");
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 499);
    assert_eq!(calls.len(), 499 + 4);
    assert_eq!(calls.attempts_of(7), [1, 2, 3, 4]);
    let letters = letters(&letter_box);
    assert_eq!((letters.len(), letters[0].0, letters[0].1), (1, 7, 4));
    assert_eq!(letters[0].2, ["all 4 attempts failed", "poison"]);
}

/// How long so many messages take when each `nth` fails once.
async fn time_with_failures(nth: u64, backoff: Duration) -> Duration {
    const MESSAGES: u64 = 20_000;
    let (source, outcomes) = TestSource::of(0..MESSAGES);
    let begun = Instant::now();
    let failed = std::sync::Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let handle = move |item: u64| {
        let fails = item % nth == nth - 1 && failed.lock().unwrap().insert(item);
        async move {
            tokio::time::sleep(ms(1)).await;
            if fails {
                return Err(BoxError::from("transient"));
            }
            Ok(item)
        }
    };
    let report = Flow::from(source)
        .process(
            Processor::new("call", handle)
                .retry(Retry::fixed(backoff).attempts(3))
                .unordered(64)
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done") as u64, MESSAGES);
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn one_transient_failure_in_a_hundred_costs_no_more_than_two_backoffs_in_all() {
    let backoff = ms(50);
    let clean = time_with_failures(u64::MAX, backoff).await;
    let flaky = time_with_failures(100, backoff).await;
    assert!(flaky <= clean + 2 * backoff, "{flaky:?}, {clean:?} without");
    assert!(flaky > clean, "nothing has failed");
}
