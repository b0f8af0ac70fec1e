//! A limit that rejects: nobody waits, and what was refused has cost nothing.

use std::time::Duration;

use tokio::time::Instant;
use towpath::{
    Flow, Jitter, Outcome, Processor, RateLimit, Retry,
    policy::{RateLimited, find},
};
use towpath_test::{TestSource, check};

use super::{Budget, SECOND, Seen, ms};

fn at_once<T>(_: &T) -> Duration {
    Duration::ZERO
}

fn refusal(outcome: &Outcome) -> RateLimited {
    let Outcome::Reject(cause) = outcome else {
        panic!("not rejected: {outcome}");
    };
    find::<RateLimited>(cause.error()).expect("limited").clone()
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_budget_for_is_rejected_at_once_and_says_when_there_is_some() {
    let (source, outcomes) = TestSource::of(0..20_u64);
    let (seen, begun) = (Seen::new(), Instant::now());
    let limit = RateLimit::per_second(2).burst(5).rejecting();
    let report = Flow::from(source)
        .process(
            Processor::new("call", seen.handler(at_once))
                .rate_limit(limit)
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (5, 15)
    );
    assert_eq!(seen.items(), [0, 1, 2, 3, 4]);
    for n in 5..20 {
        match refusal(&outcomes.only(n)) {
            RateLimited::NoBudget { retry_after } => {
                assert!((ms(500)..ms(501)).contains(&retry_after), "{retry_after:?}");
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_refused_have_spent_nothing() {
    // Twenty times as many come as there is budget for: it is all used nevertheless.
    let (source, handle) = towpath::Ingress::new(
        std::num::NonZeroUsize::new(64).unwrap(),
        towpath::Overflow::Wait,
    );
    let seen = Seen::new();
    let limit = RateLimit::per_second(10).burst(1).rejecting();
    let running = Flow::from(towpath::Source::new("ingress", source))
        .process(
            Processor::new("call", seen.handler(at_once))
                .rate_limit(limit)
                .workers(2),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    for n in 0..1000_u64 {
        handle.push(n).await.unwrap();
        tokio::time::sleep(ms(5)).await;
    }
    handle.close();
    let report = running.join().await.unwrap();
    check(&report);
    Budget::per_second(10, 1).holds_for(&seen.times());
    // One comes every 5 ms: each but the first is up to that late.
    let called = seen.all().len();
    assert!((48..=50).contains(&called), "{called} in 5 s");
    let counts = (report.counts.done, report.counts.rejected);
    assert_eq!(counts, (called as u64, 1000 - called as u64));
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_as_long_as_the_limit_says_and_spends_no_retry_budget() {
    let (source, outcomes) = TestSource::of(0..20_u64);
    let (seen, begun) = (Seen::new(), Instant::now());
    let retry = Retry::fixed(ms(1))
        .jitter(Jitter::None)
        .attempts(1000)
        .budget(0.0)
        .budget_at_least(0);
    let running = Flow::from(source)
        .process(
            Processor::new("call", seen.handler(at_once))
                .rate_limit(RateLimit::per_second(10).burst(1).rejecting())
                .retry(retry),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    let handle = running.handle().clone();
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 20);
    Budget::per_second(10, 1).holds_for(&seen.times());
    assert!(begun.elapsed() >= ms(1900) && begun.elapsed() < SECOND * 4);
    let shown = format!("{:?}", handle.policies("call").unwrap());
    assert!(shown.contains("refused: 0"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_there_is_no_room_for_is_rejected_too() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let (seen, begun) = (Seen::new(), Instant::now());
    let limit = RateLimit::per_second(1)
        .burst(1)
        .by_key(|n: &u64| *n)
        .max_keys(4)
        .rejecting();
    let report = Flow::from(source)
        .process(
            Processor::new("call", seen.handler(at_once))
                .rate_limit(limit)
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!((outcomes.count("done"), outcomes.count("rejected")), (4, 6));
    assert!(matches!(
        refusal(&outcomes.only(9)),
        RateLimited::NoBudget { .. }
    ));
}
