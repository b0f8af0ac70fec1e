//! A pipeline that stops while its messages wait for a limit: none is lost.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use tokio::time::Instant;
use towpath::{Ending, Flow, Outcome, Processor, Rate, RateLimit, Report};
use towpath_test::{Outcomes, TestSource, assert_no_leaks};

use super::{Budget, SECOND, Seen, ms};

const MESSAGES: u64 = 500;

/// Runs five hundred messages into a limit of ten a second, and stops `after` a while.
async fn stopped(after: Duration, deadline: Duration, keyed: bool) -> (Report, Outcomes) {
    let (source, outcomes) = TestSource::new(0..MESSAGES).endless().build();
    let seen = Seen::new();
    let stage = Processor::new("call", seen.handler(|_| ms(5)))
        .unordered(8)
        .workers(4);
    let limit = RateLimit::per_second(10).burst(3);
    let flow = Flow::from(source);
    let pipeline = if keyed {
        let keyed = limit.by_key(|n: &u64| n % 3);
        flow.process(stage.rate_limit(keyed)).acknowledge()
    } else {
        flow.process(stage.rate_limit(limit)).acknowledge()
    };
    let running = pipeline.start().await.unwrap();
    tokio::time::sleep(after).await;
    let begun = Instant::now();
    running.handle().stop(deadline).await;
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert!(
        begun.elapsed() <= deadline + SECOND,
        "{:?}",
        begun.elapsed()
    );
    let calls = u64::try_from(seen.all().len()).unwrap();
    assert!(report.counts.done <= calls);
    if !keyed && calls > 0 {
        Budget::per_second(10, 3).holds_for(&seen.times());
    }
    (report, outcomes)
}

/// Every message that was taken is done or comes again.
fn none_is_lost(report: &Report, outcomes: &Outcomes) {
    assert_eq!(report.counts.emitted, outcomes.total() as u64);
    for n in 0..report.counts.emitted {
        let outcome = outcomes.only(n);
        assert!(
            outcome.is_done() || matches!(outcome, Outcome::Retry { .. }),
            "{n}: {outcome}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_five_hundred_messages_wait_for_the_limiter_loses_none() {
    for keyed in [false, true] {
        let (report, outcomes) = stopped(ms(730), SECOND, keyed).await;
        none_is_lost(&report, &outcomes);
        assert!(report.counts.emitted > 20, "{report}");
        assert!(
            outcomes.count("retried") > 0 && outcomes.count("done") >= 10,
            "{report}"
        );
        assert_eq!(report.ending, Ending::DeadlineExceeded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_any_moment_of_the_wait_loses_none() {
    for moment in 0..40 {
        for keyed in [false, true] {
            let (report, outcomes) = stopped(ms(moment * 17), ms(moment % 7), keyed).await;
            none_is_lost(&report, &outcomes);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_has_time_works_off_what_was_taken_at_its_rate() {
    for keyed in [false, true] {
        let (report, outcomes) = stopped(ms(730), SECOND * 300, keyed).await;
        none_is_lost(&report, &outcomes);
        assert_eq!(report.counts.done, report.counts.emitted);
        assert_eq!(report.ending, Ending::Stopped);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_given_back_at_a_stop_is_done_in_the_next_run() {
    let mut left: Vec<u64> = (0..MESSAGES).collect();
    let mut runs = 0;
    while !left.is_empty() {
        let (source, outcomes) = TestSource::new(left.clone()).build();
        let seen = Seen::new();
        let limit = RateLimit::new(Rate::new(100, SECOND)).burst(10);
        let running = Flow::from(source)
            .process(
                Processor::new("call", seen.handler(|_| ms(1)))
                    .rate_limit(limit)
                    .workers(2),
            )
            .acknowledge()
            .start()
            .await
            .unwrap();
        tokio::time::sleep(SECOND).await;
        running.handle().stop(ms(1)).await;
        assert_no_leaks(&running.join().await.unwrap());
        let before = left.len();
        let mut done: Vec<_> = outcomes.words();
        done.retain(|(_, word)| *word == "done");
        let mut place = 0;
        left.retain(|_| {
            place += 1;
            !done.iter().any(|(index, _)| *index + 1 == place)
        });
        assert!(left.len() < before, "a run without progress");
        runs += 1;
    }
    assert_eq!(runs, 5);
}
