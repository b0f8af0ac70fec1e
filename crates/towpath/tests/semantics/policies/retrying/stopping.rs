//! A pipeline that stops, or whose worker dies, while messages wait for another attempt.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use towpath::{BoxError, Ending, Flow, Outcome, Pipeline, Processor, Retry};
use towpath_test::{Outcomes, TestSource, assert_no_leaks};

use super::{Calls, HOUR, SECOND, every_second, fails, ms};
use crate::events::idle;

/// A hundred messages that fail, and are tried again after an hour.
fn asleep(workers: usize) -> (Pipeline, Calls, Outcomes) {
    let (source, outcomes) = TestSource::new(0..100_u64).endless().build();
    let calls = Calls::default();
    let retry = Retry::fixed(HOUR).attempts(5).budget(10.0);
    let pipeline = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(1), fails(usize::MAX)))
                .retry(retry)
                .unordered(8)
                .workers(workers),
        )
        .acknowledge();
    (pipeline, calls, outcomes)
}

async fn until_asleep(calls: &Calls) {
    while calls.len() < 100 {
        sleep(ms(1)).await;
    }
    sleep(SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_at_once_while_a_hundred_wait_for_another_attempt_and_all_are_given_back() {
    for workers in [1, 3] {
        let (pipeline, calls, outcomes) = asleep(workers);
        let running = pipeline.start().await.unwrap();
        until_asleep(&calls).await;
        assert_eq!(outcomes.total(), 0);
        let begun = Instant::now();
        running.handle().stop(10 * SECOND).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "nobody is waited for");
        let report = running.join().await.unwrap();
        assert_no_leaks(&report);
        assert_eq!((&report.ending, report.left), (&Ending::Stopped, 100));
        assert_eq!((outcomes.count("retried"), outcomes.total()), (100, 100));
        for n in 0..100 {
            let outcome = outcomes.only(n);
            let as_told = matches!(
                outcome,
                Outcome::Retry {
                    after: Duration::ZERO,
                    attempts: 1,
                    ..
                }
            );
            assert!(as_told, "{outcome:?}");
        }
        sleep(2 * HOUR).await;
        assert_eq!(calls.len(), 100, "no further attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_while_the_pipeline_drains_is_the_last() {
    let (source, outcomes) = TestSource::new(0..10_u64).endless().build();
    let calls = Calls::default();
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(SECOND, fails(usize::MAX)))
                .retry(every_second(5))
                .unordered(10),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    sleep(ms(500)).await;
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((calls.len(), outcomes.count("retried")), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_by_itself_waits_for_every_attempt() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let calls = Calls::default();
    let report = Flow::from(source)
        .process(Processor::new("call", calls.handler(ms(1), fails(3))).retry(every_second(5)))
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!((outcomes.count("done"), calls.len()), (10, 40));
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_any_moment_of_any_attempt_loses_no_message() {
    for moment in 0..60 {
        let (source, outcomes) = TestSource::new(0..60_u64).endless().build();
        let calls = Calls::default();
        let retry = Retry::fixed(ms(7)).attempts(4).budget(10.0);
        let running = Flow::from(source)
            .process(
                Processor::new("call", calls.handler(ms(3), fails(2)))
                    .retry(retry)
                    .unordered(5)
                    .workers(2),
            )
            .acknowledge()
            .start()
            .await
            .unwrap();
        sleep(ms(moment)).await;
        running.handle().stop(ms(moment % 5)).await;
        let report = running.join().await.unwrap();
        assert_no_leaks(&report);
        assert_eq!(outcomes.total() as u64, report.counts.emitted);
        let made = calls.len();
        idle().await;
        sleep(SECOND).await;
        assert_eq!(calls.len(), made, "nothing runs on");
        for n in 0..report.counts.emitted {
            match (outcomes.only(n), calls.of(n).len()) {
                (Outcome::Done, made) => assert_eq!(made, 3),
                (Outcome::Retry { attempts, .. }, made) => {
                    assert_eq!(attempts as usize, made.max(1), "message {n} at {moment} ms");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_gives_back_what_waits_with_the_attempts_it_had() {
    let (source, outcomes) = TestSource::new(0..20_u64).redelivering(10).build();
    let calls = Calls::default();
    let act = |_, before| match before {
        0..3 => Err(BoxError::from("not yet")),
        _ => Ok(()),
    };
    let retry = Retry::fixed(100 * SECOND)
        .attempts(10)
        .budget_at_least(1000);
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(1), act))
                .retry(retry)
                .unordered(20)
                .workers(1),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    // All of them have failed twice.
    sleep(150 * SECOND).await;
    assert_eq!(calls.len(), 40);
    let begun = Instant::now();
    running.handle().kill_worker("call", 0).unwrap();
    outcomes.wait_for(20).await;
    assert_eq!(
        (begun.elapsed(), outcomes.count("retried")),
        (Duration::ZERO, 20)
    );
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((outcomes.count("done"), calls.len()), (20, 80));
    for n in 0..20 {
        assert_eq!(calls.attempts_of(n), [1, 2, 3, 4], "message {n}");
    }
}
