//! The limit and the other policies of a stage: each attempt pays, and what must wait for
//! something else begins no faster for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use towpath::{
    BoxError, CircuitBreaker, Flow, Jitter, Processor, RateLimit, Retry,
    policy::{Class, RetryAfter, classify_fn},
};
use towpath_test::{TestSource, check};

use super::{Budget, SECOND, Seen, ms};

/// Fails each message until its attempt number `good`; each attempt takes `takes`.
fn failing_until(
    good: u32,
    takes: Duration,
    seen: &Seen<u64>,
) -> impl Fn(u64) -> super::Handled<u64> + Clone + Send + Sync + 'static {
    let attempts = Arc::new(Mutex::new(HashMap::<u64, u32>::new()));
    let seen = seen.clone();
    move |n| {
        let (attempts, seen) = (attempts.clone(), seen.clone());
        Box::pin(async move {
            seen.note(n);
            sleep(takes).await;
            let mut attempts = attempts.lock().expect("nobody panics here");
            let attempt = attempts.entry(n).or_default();
            *attempt += 1;
            if *attempt < good {
                return Err(BoxError::from("not yet"));
            }
            Ok(n)
        })
    }
}

fn retry(attempts: u32) -> Retry {
    Retry::fixed(ms(20))
        .jitter(Jitter::None)
        .attempts(attempts)
        .budget(10.0)
        .budget_at_least(1000)
}

#[tokio::test(start_paused = true)]
async fn every_attempt_pays_the_limit_whatever_the_order_of_the_calls() {
    for swapped in [false, true] {
        let (source, outcomes) = TestSource::of(0..100_u64);
        let (seen, begun) = (Seen::new(), Instant::now());
        let stage = Processor::new("call", failing_until(3, ms(1), &seen));
        let limit = RateLimit::per_second(50).burst(2);
        let stage = if swapped {
            stage.retry(retry(3)).rate_limit(limit)
        } else {
            stage.rate_limit(limit).retry(retry(3))
        };
        let report = Flow::from(source)
            .process(stage.unordered(8).workers(2))
            .acknowledge()
            .run()
            .await
            .unwrap();
        check(&report);
        assert_eq!((outcomes.count("done"), seen.all().len()), (100, 300));
        let budget = Budget::per_second(50, 2);
        budget.holds_for(&seen.times());
        assert!(begun.elapsed() >= budget.time_for(300));
    }
}

#[tokio::test(start_paused = true)]
async fn with_few_permits_and_attempts_that_fail_the_limit_holds_in_every_interval() {
    for (slots, takes, keyed) in [
        (1, 3, false),
        (2, 45, false),
        (3, 110, false),
        (2, 30, true),
    ] {
        let (source, outcomes) = TestSource::of(0..200_u64);
        let seen = Seen::new();
        let handler = failing_until(2, ms(takes), &seen);
        let stage = Processor::new("call", handler)
            .timeout(SECOND)
            .circuit_breaker(CircuitBreaker::failure_rate(0.9).min_calls(1000))
            .retry(retry(4))
            .unordered(slots)
            .workers(2);
        let limit = RateLimit::per_second(40).burst(10);
        let flow = Flow::from(source);
        let pipeline = if keyed {
            let keyed = limit.by_key(|_: &u64| 0_u64);
            flow.process(stage.rate_limit(keyed)).acknowledge()
        } else {
            flow.process(stage.rate_limit(limit)).acknowledge()
        };
        check(&pipeline.run().await.unwrap());
        assert_eq!((outcomes.count("done"), seen.all().len()), (200, 400));
        Budget::per_second(40, 10).holds_for(&seen.times());
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_that_wait_for_the_limit_are_not_overtaken_by_new_messages() {
    // New messages never end: without turns a second attempt would never come.
    let (source, outcomes) = TestSource::new(0_u64..).build();
    let seen = Seen::new();
    let stage = Processor::new("call", failing_until(2, ms(1), &seen))
        .rate_limit(RateLimit::per_second(100).burst(1))
        .retry(retry(2));
    let running = Flow::from(source)
        .process(stage.unordered(4).workers(1))
        .acknowledge()
        .start()
        .await
        .unwrap();
    outcomes.wait_for(400).await;
    running.handle().stop(ms(1)).await;
    check(&running.join().await.unwrap());
    let mut first = HashMap::new();
    for (place, n) in seen.items().into_iter().enumerate() {
        if let Some(before) = first.insert(n, place) {
            assert!(
                place - before <= 16,
                "{n} waited for {} others",
                place - before
            );
        }
    }
    Budget::per_second(100, 1).holds_for(&seen.times());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_asks_for_a_break_gets_it_from_the_whole_stage() {
    let (source, outcomes) = TestSource::of(0..100_u64);
    let (seen, told) = (Seen::new(), Arc::new(Mutex::new(None)));
    let (noted, asked) = (seen.clone(), told.clone());
    let handler = move |n: u64| {
        let (noted, asked) = (noted.clone(), asked.clone());
        async move {
            noted.note(n);
            sleep(ms(2)).await;
            let mut asked = asked.lock().expect("nobody panics here");
            if n == 40 && asked.is_none() {
                *asked = Some(Instant::now());
                return Err(RetryAfter::new(SECOND * 30, "too many requests"));
            }
            Ok(n)
        }
    };
    let overload = classify_fn(|error| {
        let after = error.downcast_ref().map(RetryAfter::delay);
        Class::Overload { after }
    });
    let report = Flow::from(source)
        .process(
            Processor::new("call", handler)
                .rate_limit(RateLimit::per_second(100).burst(1))
                .retry(retry(3))
                .classify(overload)
                .unordered(4)
                .workers(2),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!((outcomes.count("done"), seen.all().len()), (100, 101));
    let told = told.lock().unwrap().expect("it was told");
    let held = |at: &&Instant| **at > told && at.duration_since(told) < SECOND * 30;
    assert_eq!(seen.times().iter().filter(held).count(), 0);
    Budget::per_second(100, 1).holds_for(&seen.times());
}
