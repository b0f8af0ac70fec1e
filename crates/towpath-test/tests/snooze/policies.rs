//! Policies around a handler snooze nothing: they poll what they hold, or drop it.

use std::time::Duration;

use tokio::time::sleep;
use towpath::{
    BoxError, CircuitBreaker, Fallback, Flow, Hedge, Jitter, PolicyStatus, Processor, RateLimit,
    Report, Retry, attempt, core::BreakerState, policy::service_fn,
};
use towpath_test::{
    TestSource,
    snooze::{self, Calls, Touch},
};

use super::{
    MANY,
    pipelines::{on, to},
};

fn retry() -> Retry {
    Retry::fixed(Duration::from_millis(1))
        .jitter(Jitter::None)
        .attempts(3)
        .budget(1.0)
        .budget_at_least(10_000)
}

/// What each policy of the first stage came to.
fn policies(report: &Report) -> &[PolicyStatus] {
    &report.stages[0].policies
}

#[tokio::test(start_paused = true)]
async fn t4_behind_a_slow_sink_no_attempt_is_timed_out_retried_or_held_against_the_service() {
    for workers in [1, 4] {
        let report = snooze::false_timeouts(|_| {
            let call = on("call", Calls::steps)
                .timeout(Calls::TIMEOUT)
                .retry(retry())
                .circuit_breaker(CircuitBreaker::failure_rate(0.1).min_calls(1))
                .rate_limit(RateLimit::per_second(100).burst(2));
            Flow::from(TestSource::of(0..20).0)
                .process(call.unordered(4).workers(workers))
                .sink(to("sink", || sleep(Calls::SINK)))
                .max_demand(1)
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, 20, "{workers} workers");
        for policy in policies(&report) {
            match policy {
                PolicyStatus::Timeout { timed_out, .. } => assert_eq!(*timed_out, 0),
                PolicyStatus::Retry { retried, .. } => assert_eq!(*retried, 0),
                PolicyStatus::CircuitBreaker { state, opened, .. } => {
                    assert_eq!((*state, *opened), (BreakerState::Closed, 0));
                }
                _ => {}
            }
        }
        assert_eq!(policies(&report).len(), 5, "{:?}", policies(&report));
    }
}

/// Every tenth message hangs at its first attempt, with the lock in hand.
async fn touch_or_hang_at_first(touch: Touch, n: u64) -> Result<u64, BoxError> {
    if n.is_multiple_of(10) && attempt() == 1 {
        touch.hang().await;
    }
    touch.touch().await;
    Ok(n)
}

#[tokio::test(start_paused = true)]
async fn t6_an_attempt_that_is_timed_out_is_dropped_before_the_next_needs_its_lock() {
    for concurrency in [1, 10] {
        let report = snooze::timed_out_holder(|touch| {
            let (handling, settling) = (touch.clone(), touch.clone());
            let source = TestSource::new(0..100).settle_after(move || settling.touch());
            let call = move |n| touch_or_hang_at_first(handling.clone(), n);
            let call = Processor::new("call", call)
                .timeout(Duration::from_millis(50))
                .retry(retry())
                .rate_limit(RateLimit::per_second(1000).by_key(|n: &u64| n % 3));
            Flow::from(source.build().0)
                .process(call.unordered(concurrency))
                .sink(to("sink", move || touch.touch()))
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, 100, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn t6_an_attempt_that_is_timed_out_is_dropped_before_the_fallback_needs_its_lock() {
    let report = snooze::timed_out_holder(|touch| {
        let (handling, instead) = (touch.clone(), touch.clone());
        let call = move |n: u64| {
            let touch = handling.clone();
            async move {
                touch.hang().await;
                Ok::<_, BoxError>(n)
            }
        };
        let other = service_fn(move |n: u64| {
            let touched = instead.touch();
            async move {
                touched.await;
                Ok::<_, BoxError>(n)
            }
        });
        let call = Processor::new("call", call)
            .timeout(Duration::from_millis(10))
            .fallback(Fallback::service(other));
        Flow::from(TestSource::of(0..50).0)
            .process(call.unordered(1))
            .sink(to("sink", move || touch.touch()))
    });
    assert_eq!(report.await.unwrap().counts.done, 50);
}

#[tokio::test(start_paused = true)]
async fn t3_attempts_hedges_and_sink_send_into_one_channel_of_one_place() {
    for workers in [1, 4] {
        let report = snooze::narrow_channel(|notes| {
            let handling = notes.clone();
            let call = move |n: u64| {
                let sent = handling.send(2);
                async move {
                    sent.await;
                    if n.is_multiple_of(4) && attempt() == 1 {
                        return Err(BoxError::from("once more"));
                    }
                    Ok(n)
                }
            };
            let call = Processor::new("call", call)
                .timeout(Duration::from_secs(30))
                .retry(retry())
                .hedge(Hedge::after(Duration::from_millis(5)).budget(0.5));
            Flow::from(TestSource::of(0..MANY).0)
                .process(call.unordered(10).workers(workers))
                .sink(to("sink", move || notes.send(1)))
        });
        let report = report.await.unwrap();
        assert_eq!(report.counts.done, MANY, "{workers} workers");
    }
}
