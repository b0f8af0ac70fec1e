//! The rate of a stage is read and changed while it runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use tokio::time::{Instant, sleep};
use towpath::{EventKind, Flow, PolicyStatus, Processor, Rate, RateLimit, Running};
use towpath_test::{TestSource, check};

use super::{Budget, SECOND, Seen, most_within, ms};
use crate::events::{Events, idle};

const HOUR: Duration = Duration::from_secs(3600);

/// A pipeline without end, under a limit; `keyed` by the hundreds of its messages.
async fn started(limit: RateLimit, keyed: bool, events: &Events) -> (Running, Seen<u64>) {
    let (source, _) = TestSource::new(0_u64..).build();
    let seen = Seen::new();
    let stage = Processor::new("call", seen.handler(|_| Duration::ZERO))
        .unordered(4)
        .workers(2);
    let flow = Flow::from(source);
    let pipeline = if keyed {
        let keyed = limit.by_key(|n: &u64| *n % 2);
        flow.process(stage.rate_limit(keyed)).acknowledge()
    } else {
        flow.process(stage.rate_limit(limit)).acknowledge()
    };
    let running = pipeline.observer(events.observer()).start().await.unwrap();
    idle().await;
    (running, seen)
}

async fn stopped(running: Running) {
    running.handle().stop(ms(1)).await;
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_higher_rate_holds_at_once_for_those_who_wait_already() {
    for keyed in [false, true] {
        for limit in [
            RateLimit::new(Rate::new(1, HOUR)).burst(1),
            RateLimit::new(Rate::new(1, HOUR)).leaky_bucket(),
        ] {
            let (running, seen) = started(limit, keyed, &Events::new()).await;
            let keys = if keyed { 2 } else { 1 };
            sleep(SECOND).await;
            assert_eq!(seen.all().len(), keys);
            let changed = Instant::now();
            running.handle().set_rate("call", 100, SECOND).unwrap();
            sleep(SECOND * 10).await;
            let since = seen.since(changed) / keys;
            // Without a burst up to a millisecond is lost at each call.
            assert!(
                (900..=1001).contains(&since),
                "{since} of each of {keys} keys"
            );
            stopped(running).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sliding_window_that_is_raised_lets_the_rest_of_the_new_count_through_at_once() {
    let limit = RateLimit::new(Rate::new(5, SECOND)).sliding_window();
    let (running, seen) = started(limit, false, &Events::new()).await;
    sleep(ms(500)).await;
    assert_eq!(seen.all().len(), 5);
    running.handle().set_rate("call", 20, SECOND).unwrap();
    idle().await;
    assert_eq!(seen.all().len(), 20);
    sleep(SECOND * 5).await;
    assert_eq!(most_within(&seen.times(), SECOND), 20);
    stopped(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_lower_rate_holds_at_once_and_grants_nothing_for_the_time_before() {
    let limit = RateLimit::per_second(100).burst(1);
    let (running, seen) = started(limit, false, &Events::new()).await;
    sleep(SECOND).await;
    let changed = Instant::now();
    running.handle().set_rate("call", 2, SECOND).unwrap();
    sleep(SECOND * 20).await;
    let times: Vec<_> = seen
        .times()
        .into_iter()
        .filter(|at| *at > changed)
        .collect();
    Budget::per_second(2, 1).holds_for(&times);
    assert!((39..=41).contains(&times.len()), "{}", times.len());
    stopped(running).await;
}

#[tokio::test(start_paused = true)]
async fn however_often_the_rate_changes_no_more_begin_than_the_rates_allow() {
    let limit = RateLimit::per_second(100).burst(3);
    let (running, seen) = started(limit, false, &Events::new()).await;
    // In thousandths, as there are milliseconds.
    let mut allowed = 3000;
    for round in 0..200 {
        let (rate, millis) = (1 + round * 37 % 190, 1 + round * 53 % 97);
        running.handle().set_rate("call", rate, SECOND).unwrap();
        sleep(ms(millis)).await;
        allowed += rate * millis;
    }
    let calls = 1000 * seen.all().len() as u64;
    assert!(calls <= allowed, "{calls} of {allowed}");
    assert!(calls >= allowed / 100 * 97, "{calls} of {allowed}");
    stopped(running).await;
}

#[tokio::test(start_paused = true)]
async fn rate_and_waiting_calls_are_read_and_a_change_is_an_event() {
    let events = Events::new();
    let limit = RateLimit::new(Rate::new(7, HOUR)).burst(1);
    let (running, _) = started(limit, false, &events).await;
    let handle = running.handle();
    let read = || handle.policies("call").unwrap();
    let told = |calls, per| {
        events.count(|event| {
            let said = format!("{:?}", event.kind);
            said == format!("{:?}", EventKind::RateChanged { calls, per })
        })
    };
    let limit = |calls, per| PolicyStatus::RateLimit {
        calls,
        per,
        waiting: 2,
        keys: None,
        waited: 0,
        waited_for: Duration::ZERO,
        rejected: 0,
    };
    assert_eq!(read(), [limit(7, HOUR)], "each worker has one that waits");
    handle.set_rate("call", 6, HOUR).unwrap();
    assert_eq!((read(), told(6, HOUR)), (vec![limit(6, HOUR)], 1));
    stopped(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_makes_no_sense_is_refused_and_the_old_one_stays() {
    let events = Events::new();
    let limit = RateLimit::per_second(10).burst(1);
    let (running, seen) = started(limit, false, &events).await;
    let handle = running.handle();
    let year = HOUR * 24 * 367;
    for (calls, per) in [
        (0, SECOND),
        (5, Duration::ZERO),
        (5, year),
        (5, Duration::MAX),
        (u64::MAX, SECOND),
        (4_000_000_000, SECOND),
        (2, Duration::from_nanos(1)),
    ] {
        let refused = handle.set_rate("call", calls, per).unwrap_err();
        let why = format!("{refused} {:?}", std::error::Error::source(&refused));
        assert!(why.contains("call"), "{why}");
    }
    let before = Instant::now();
    sleep(SECOND * 10).await;
    let since = seen.since(before);
    assert!((99..=100).contains(&since), "{since}");
    let changes = events.count(|event| matches!(event.kind, EventKind::RateChanged { .. }));
    assert_eq!(changes, 0);
    stopped(running).await;
}
