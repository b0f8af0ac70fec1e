//! What the log holds, finds and tells.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use towpath_core::{Cause, Event, EventKind, StageName, Telemetry};

use crate::{
    Monitor,
    events::{EventLog, Heard, Query, Subscription, Timestamp},
};

fn event(stage: &str, kind: EventKind) -> Event {
    Event::new(Duration::from_millis(7), stage.into(), kind)
}

fn rejected() -> EventKind {
    let cause = Cause::new("parse".into(), "no number");
    EventKind::Rejected { cause }
}

/// Logs events of the pipeline `orders`.
fn log_all(log: &EventLog, kinds: impl IntoIterator<Item = EventKind>) {
    let orders = StageName::from("orders");
    for kind in kinds {
        log.record(&orders, &event("orders", kind));
    }
}

fn numbers(log: &EventLog, query: &Query) -> Vec<u64> {
    log.query(query).iter().map(|r| r.number).collect()
}

fn restarts(n: u64) -> impl Iterator<Item = EventKind> {
    (1..=n).map(|restarts| EventKind::Restarted { restarts })
}

/// Hears what is there: numbers, and how many were missed as negative figures.
fn heard(subscription: &mut Subscription) -> Vec<i64> {
    std::iter::from_fn(|| subscription.try_next())
        .map(|heard| match heard {
            Heard::Record(record) => record.number.cast_signed(),
            Heard::Missed(missed) => -missed.cast_signed(),
        })
        .collect()
}

#[test]
fn the_last_records_are_held_and_the_others_are_counted() {
    let log = EventLog::with_capacity(8);
    assert_eq!((log.last(), log.forgotten()), (0, 0));
    log_all(&log, restarts(10));
    // Two of the eight are for what comes with messages.
    assert_eq!(numbers(&log, &Query::new()), [5, 6, 7, 8, 9, 10]);
    assert_eq!((log.last(), log.forgotten()), (10, 4));
}

#[test]
fn a_log_of_no_room_still_holds_one_record_of_each_sort() {
    let log = EventLog::with_capacity(0);
    log_all(&log, restarts(2));
    log_all(&log, [rejected(), rejected()]);
    assert_eq!(numbers(&log, &Query::new()), [2, 4]);
}

#[test]
fn a_burst_of_rejected_messages_does_not_push_out_the_life_cycle() {
    let log = EventLog::with_capacity(8);
    log_all(&log, [EventKind::Started]);
    log_all(&log, (0..1000).map(|_| rejected()));
    let failed = |_| EventKind::SettleFailed {
        error: "gone".into(),
        count: 1,
    };
    log_all(&log, (0..1000).map(failed));
    log_all(&log, [EventKind::Draining]);
    assert_eq!(numbers(&log, &Query::new()), [1, 2000, 2001, 2002]);
}

#[test]
fn records_are_found_by_pipeline_stage_and_kind() {
    let log = EventLog::new();
    let (orders, bills) = (
        log.observer(&"orders".into()),
        log.observer(&"bills".into()),
    );
    orders.event(&event("orders", EventKind::Started));
    bills.event(&event("bills", EventKind::Started));
    orders.event(&event("parse", rejected()));
    bills.event(&event("parse", rejected()));
    orders.event(&event("orders", EventKind::Stopped));

    let found = |query: Query| numbers(&log, &query);
    assert_eq!(found(Query::new()), [1, 2, 3, 4, 5]);
    assert_eq!(found(Query::new().pipeline("orders")), [1, 3, 5]);
    assert_eq!(found(Query::new().stage("parse")), [3, 4]);
    assert_eq!(found(Query::new().stage("parse").pipeline("bills")), [4]);
    assert_eq!(found(Query::new().kind("started")), [1, 2]);
    assert_eq!(
        found(Query::new().kind("started").kind("stopped")),
        [1, 2, 5]
    );
    assert_eq!(found(Query::new().kind("exploded")), [0; 0]);
    let first = &log.query(&Query::new())[0];
    assert_eq!(first.since_start, Duration::from_millis(7));
    assert_eq!(
        (first.pipeline.as_str(), first.stage.as_str()),
        ("orders", "orders")
    );
}

#[test]
fn records_are_found_by_time_and_the_limit_leaves_the_last() {
    let log = EventLog::new();
    let before = Timestamp::now();
    log_all(&log, restarts(5));
    let after = Timestamp::from_millis(Timestamp::now().as_millis() + 1);

    assert_eq!(
        numbers(&log, &Query::new().since(before).until(after)).len(),
        5
    );
    assert_eq!(numbers(&log, &Query::new().until(before)), [0; 0]);
    assert_eq!(numbers(&log, &Query::new().since(after)), [0; 0]);
    assert_eq!(numbers(&log, &Query::new().limit(2)), [4, 5]);
    assert_eq!(numbers(&log, &Query::new().limit(0)), [0; 0]);
}

#[test]
fn a_subscriber_hears_what_comes_once_and_in_order() {
    let log = EventLog::new();
    log_all(&log, restarts(2));
    let mut subscription = log.subscribe();
    assert_eq!(heard(&mut subscription), [0; 0]);
    log_all(
        &log,
        [
            EventKind::Paused,
            rejected(),
            EventKind::Resumed,
            rejected(),
        ],
    );
    assert_eq!(heard(&mut subscription), [3, 4, 5, 6]);
    assert_eq!(heard(&mut subscription), [0; 0]);
}

#[test]
fn a_slow_subscriber_is_told_how_many_it_missed() {
    let log = EventLog::with_capacity(8);
    let mut subscription = log.subscribe();
    log_all(&log, restarts(1));
    log_all(&log, (0..5).map(|_| rejected()));
    log_all(&log, restarts(1));
    // 2, 3 and 4 were pushed out by 5 and 6.
    assert_eq!(heard(&mut subscription), [1, -3, 5, 6, 7]);
    log_all(&log, restarts(100));
    assert_eq!(
        heard(&mut subscription),
        [-94, 102, 103, 104, 105, 106, 107]
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiting_subscriber_is_woken_and_a_dropped_call_loses_nothing() {
    let log = EventLog::new();
    let mut subscription = log.subscribe();
    let early = tokio::time::timeout(Duration::from_secs(1), subscription.next()).await;
    assert!(early.is_err());
    let (heard, ()) = tokio::join!(subscription.next(), async {
        log_all(&log, [EventKind::Started]);
    });
    assert!(matches!(heard, Some(Heard::Record(record)) if record.number == 1));
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_hears_the_rest_and_then_the_end_of_the_log() {
    let log = EventLog::new();
    let mut subscription = log.subscribe();
    log_all(&log, [EventKind::Started]);
    drop(log);
    assert!(matches!(subscription.next().await, Some(Heard::Record(_))));
    assert!(subscription.next().await.is_none());
    assert!(subscription.next().await.is_none());
}

#[test]
fn threads_that_log_at_once_get_numbers_without_a_gap() {
    let log = EventLog::with_capacity(4096);
    let mut subscription = log.subscribe();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| log_all(&log, restarts(200)));
        }
    });
    let expected: Vec<i64> = (1..=800).collect();
    assert_eq!(heard(&mut subscription), expected);
}

#[test]
fn a_monitor_logs_each_pipeline_by_its_name() {
    let log = EventLog::new();
    let monitor = Monitor::new().logged_to(log.clone());
    for name in ["orders", "bills"] {
        let observer = monitor.attach(&name.into()).observer.unwrap();
        observer.event(&event(name, EventKind::Started));
    }
    assert_eq!(numbers(monitor.events(), &Query::new()), [1, 2]);
    let bills = log.query(&Query::new().pipeline("bills"));
    assert_eq!(bills[0].pipeline.as_str(), "bills");
}

#[test]
fn what_is_forgotten_is_dropped_when_nothing_is_locked() {
    /// An error that looks at the log when it is dropped.
    #[derive(Debug)]
    struct Curious(EventLog, Arc<std::sync::atomic::AtomicU64>);
    impl std::fmt::Display for Curious {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("curious")
        }
    }
    impl std::error::Error for Curious {}
    impl Drop for Curious {
        fn drop(&mut self) {
            self.1
                .store(self.0.last(), std::sync::atomic::Ordering::Relaxed);
        }
    }
    let log = EventLog::with_capacity(4);
    let seen = Arc::default();
    let cause = Cause::new("parse".into(), Curious(log.clone(), Arc::clone(&seen)));
    log_all(&log, [EventKind::Rejected { cause }, rejected()]);
    assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Steps: a life-cycle event, a rejected message, or the subscriber hears one thing.
    #[test]
    fn a_subscriber_hears_or_misses_each_record_exactly_once(
        capacity in 0..12_usize,
        steps in prop::collection::vec(0..3_u8, 0..100),
    ) {
        let log = EventLog::with_capacity(capacity);
        let mut subscription = log.subscribe();
        let mut accounted = 0;
        let mut hear = |subscription: &mut Subscription| {
            match subscription.try_next() {
                Some(Heard::Record(record)) => {
                    accounted += 1;
                    assert_eq!(record.number, accounted);
                }
                Some(Heard::Missed(missed)) => accounted += missed,
                None => return None,
            }
            Some(accounted)
        };
        for step in steps {
            match step {
                0 => log_all(&log, [EventKind::Paused]),
                1 => log_all(&log, [rejected()]),
                _ => drop(hear(&mut subscription)),
            }
        }
        while hear(&mut subscription).is_some() {}
        prop_assert_eq!(accounted, log.last());
        prop_assert_eq!(log.query(&Query::new()).len() as u64, log.last() - log.forgotten());
    }
}
