//! When the attempts of a message begin and end.

use std::time::Duration;

use tokio::time::Instant;
use towpath::{
    BoxError, Flow, Jitter, Outcome, Processor, RateLimit, Retry,
    policy::{DeadlinePassed, HttpStatus, RetryAfter, TimedOut},
};
use towpath_test::{TestSource, assert_no_leaks, check};

use super::{Calls, SECOND, every_second, fails, ms, rejected};

/// The first call of item 0 is answered so, with half a minute to wait.
fn busy(status: u16) -> impl Fn(u64, usize) -> Result<(), BoxError> + Clone {
    move |item, before| match (item, before) {
        (0, 0) => Err(RetryAfter::new(30 * SECOND, HttpStatus(status)).into()),
        _ => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_that_the_error_asks_for_is_obeyed_by_its_key_and_other_keys_go_on() {
    let (source, outcomes) = TestSource::of(0..40_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let limit = RateLimit::per_second(1000).by_key(|n: &u64| n % 4);
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(10), busy(429)))
                .rate_limit(limit)
                .retry(every_second(3))
                .unordered(4)
                .workers(1),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    outcomes.wait_for(30).await;
    assert!(begun.elapsed() <= ms(100), "{:?}", begun.elapsed());
    let told = begun + ms(10);
    assert!(outcomes.words().iter().all(|told| told.0 % 4 != 0));
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 40);
    for call in calls.all() {
        let waits = call.item % 4 == 0 && call.at > told;
        assert!(!waits || call.at >= told + 30 * SECOND, "{call:?}");
    }
    assert_eq!(calls.attempts_of(0), [1, 2]);
    assert!(begun.elapsed() < 31 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_busy_backend_slows_the_whole_stage_where_the_limit_has_no_key() {
    let (source, outcomes) = TestSource::of(0..40_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let report = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(10), busy(429)))
                .rate_limit(RateLimit::per_second(1000))
                .retry(every_second(3))
                .unordered(4)
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 40);
    let told = begun + ms(10);
    let early = |at| at > told && at < told + 30 * SECOND;
    assert!(!calls.all().iter().any(|call| early(call.at)), "{calls:?}");
    assert!(begun.elapsed() < 31 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_one_message_slows_nobody_else_whatever_delay_it_asks_for() {
    let (source, outcomes) = TestSource::of(0..40_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(10), busy(500)))
                .rate_limit(RateLimit::per_second(1000))
                .retry(every_second(3))
                .unordered(4)
                .workers(1),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    outcomes.wait_for(39).await;
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    check(&running.join().await.unwrap());
    assert_eq!(calls.times_of(0, begun), [ms(0), ms(10) + 30 * SECOND]);
}

#[tokio::test(start_paused = true)]
async fn the_longer_of_the_schedule_and_the_asked_delay_counts() {
    for (schedule, waits) in [(SECOND, 30 * SECOND), (60 * SECOND, 60 * SECOND)] {
        let (source, outcomes) = TestSource::of(0..1_u64);
        let (calls, begun) = (Calls::default(), Instant::now());
        let report = Flow::from(source)
            .process(
                Processor::new("call", calls.handler(Duration::ZERO, busy(500)))
                    .retry(Retry::fixed(schedule)),
            )
            .acknowledge()
            .run()
            .await
            .unwrap();
        check(&report);
        assert!(outcomes.only(0).is_done());
        assert_eq!(calls.times_of(0, begun), [Duration::ZERO, waits]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_growing_backoff_doubles_up_to_its_cap() {
    let (source, _) = TestSource::of(0..1_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let retry = Retry::exponential(SECOND, 5 * SECOND)
        .jitter(Jitter::None)
        .attempts(6);
    let report = Flow::from(source)
        .process(Processor::new("call", calls.handler(Duration::ZERO, fails(6))).retry(retry))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let seconds: Vec<_> = calls
        .times_of(0, begun)
        .iter()
        .map(Duration::as_secs)
        .collect();
    assert_eq!(seconds, [0, 1, 3, 7, 12, 17]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_would_outlast_the_deadline_of_the_attempts_is_not_begun() {
    let (source, outcomes) = TestSource::of(0..3_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let retry = Retry::fixed(4 * SECOND).attempts(10).deadline(5 * SECOND);
    let report = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(Duration::ZERO, fails(usize::MAX)))
                .retry(retry)
                .unordered(3),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert!(begun.elapsed() <= 5 * SECOND, "{:?}", begun.elapsed());
    for n in 0..3 {
        assert_eq!(calls.times_of(n, begun), [Duration::ZERO, 4 * SECOND]);
        let last = calls.of(n)[1];
        assert_eq!(last.deadline, Some(begun + 5 * SECOND), "it can be read");
        let outcome = outcomes.only(n);
        let late = rejected::<DeadlinePassed>(&outcome);
        assert_eq!(late.source.as_ref().unwrap().to_string(), "not yet");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_ends_at_the_deadline_of_the_attempts_to_the_tick() {
    let (source, outcomes) = TestSource::of(0..1_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let hangs = calls.handler(3 * SECOND, fails(usize::MAX));
    let retry = Retry::fixed(SECOND).attempts(10).deadline(5 * SECOND);
    let report = Flow::from(source)
        .process(Processor::new("call", hangs).retry(retry))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    // The second attempt begins after four seconds, and would take three.
    assert_eq!((calls.len(), begun.elapsed()), (2, 5 * SECOND));
    let outcome = outcomes.only(0);
    let late = rejected::<DeadlinePassed>(&outcome);
    assert_eq!(late.source.as_ref().unwrap().to_string(), "not yet");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_covers_the_handler_and_nothing_of_it_runs_on() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let report = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(3 * SECOND, |_, _| panic!("runs on")))
                .timeout(ms(100))
                .unordered(10),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!((calls.len(), begun.elapsed()), (10, ms(100)));
    for n in 0..10 {
        let outcome = outcomes.only(n);
        assert_eq!(rejected::<TimedOut>(&outcome).limit, ms(100));
    }
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(report.counts.done, 0);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_the_whole_timeout_and_a_slow_one_is_tried_again() {
    let (source, outcomes) = TestSource::of(0..1_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let seen = calls.clone();
    let handle = move |item: u64| {
        let first = seen.note(item) == 0;
        async move {
            tokio::time::sleep(if first { 3 * SECOND } else { ms(99) }).await;
            Ok::<_, BoxError>(item)
        }
    };
    let report = Flow::from(source)
        .process(
            Processor::new("call", handle)
                .timeout(ms(100))
                .retry(every_second(3)),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert!(matches!(outcomes.only(0), Outcome::Done));
    assert_eq!(calls.times_of(0, begun), [ms(0), ms(1100)]);
    assert_eq!(begun.elapsed(), ms(1199));
}
