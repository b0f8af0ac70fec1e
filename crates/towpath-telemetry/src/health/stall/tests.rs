//! When a pipeline counts as stalled.

use super::*;

/// The pipeline `orders` at a second of its clock.
fn at(second: u64, done: u64, in_flight: u64) -> Status {
    let mut status = Status::new("orders".into(), Phase::Running);
    status.elapsed = Duration::from_secs(second);
    (status.counts.done, status.counts.in_flight) = (done, in_flight);
    status
}

/// What looks at these moments say, each `stalled_after` a minute.
fn looks(statuses: impl IntoIterator<Item = Status>) -> Vec<bool> {
    let checks = Checks::new().stalled_after(Duration::from_secs(60));
    let mut stalls = Stalls::new();
    let alive = |status| stalls.liveness(&checks, &[status]).is_ready();
    statuses.into_iter().map(alive).collect()
}

#[test]
fn messages_that_do_not_move_for_the_time_are_a_stall() {
    let looked = looks([
        at(0, 5, 2),
        at(30, 5, 2),
        at(59, 5, 9),
        at(60, 5, 9),
        at(70, 6, 9),
    ]);
    assert_eq!(looked, [true, true, true, false, true]);
}

#[test]
fn a_pipeline_that_has_nothing_to_do_is_not_stalled() {
    assert_eq!(
        looks([at(0, 5, 0), at(600, 5, 0), at(601, 5, 1)]),
        [true; 3]
    );
}

#[test]
fn time_without_messages_does_not_count() {
    let looked = looks([
        at(0, 5, 1),
        at(50, 5, 0),
        at(70, 5, 1),
        at(129, 5, 1),
        at(130, 5, 1),
    ]);
    assert_eq!(looked, [true, true, true, true, false]);
}

#[test]
fn any_outcome_is_a_move() {
    let mut retried = at(60, 5, 1);
    retried.counts.retried = 1;
    let mut rejected = at(120, 5, 1);
    (rejected.counts.retried, rejected.counts.rejected) = (1, 1);
    let mut dropped = rejected.clone();
    (dropped.counts.dropped, dropped.elapsed) = (1, Duration::from_secs(180));
    assert_eq!(looks([at(0, 5, 1), retried, rejected, dropped]), [true; 4]);
}

#[test]
fn a_pipeline_that_was_started_again_begins_anew() {
    assert_eq!(
        looks([at(1000, 0, 1), at(5, 0, 1), at(64, 0, 1), at(65, 0, 1)]),
        [true, true, true, false]
    );
}

#[test]
fn one_that_has_ended_is_not_stalled() {
    let mut ended = at(600, 5, 2);
    ended.phase = Phase::Stopped;
    assert_eq!(looks([at(0, 5, 2), ended]), [true; 2]);
}

#[test]
fn the_pipeline_and_the_time_are_told() {
    let checks = Checks::new().stalled_after(Duration::from_secs(60));
    let mut stalls = Stalls::new();
    assert!(stalls.liveness(&checks, &[at(0, 5, 2)]).is_ready());
    let health = stalls.liveness(&checks, &[at(90, 5, 2)]);
    let text = "orders: no message has come to its end for 90 s";
    assert_eq!(health.findings[0].to_string(), text);
}

#[test]
fn nothing_is_stalled_unless_a_time_is_set_and_nothing_is_held_of_pipelines_that_are_gone() {
    let mut stalls = Stalls::new();
    let never = Checks::new();
    for second in [0, 1_000_000] {
        assert!(stalls.liveness(&never, &[at(second, 5, 2)]).is_ready());
    }
    let checks = never.stalled_after(Duration::ZERO);
    assert!(!stalls.liveness(&checks, &[at(0, 5, 2)]).is_ready());
    assert_eq!(stalls.seen.len(), 1);
    assert!(stalls.liveness(&checks, &[]).is_ready());
    assert_eq!(stalls.seen.len(), 0);
}
