//! The failure hook: sees every failure before it is settled, and may change it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use towpath::{
    Batcher, BoxError, Event, EventKind, Failure, Flow, Origin, Outcome, Processor, Reason,
};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::rejected;

type Calls = Arc<Mutex<Vec<(&'static str, Option<u64>)>>>;

/// A hook that notes what it sees and changes nothing.
fn noting(calls: &Calls) -> impl Fn(Outcome, &Origin) -> Outcome + Send + Sync + 'static {
    let calls = calls.clone();
    move |outcome, origin| {
        let at = origin.position.map(|p| p.offset);
        calls
            .lock()
            .expect("nobody panics here")
            .push((outcome.word(), at));
        outcome
    }
}

fn sorted(calls: &Calls) -> Vec<(&'static str, Option<u64>)> {
    let mut calls = calls.lock().expect("nobody panics here").clone();
    calls.sort_unstable_by_key(|(_, at)| *at);
    calls
}

#[tokio::test(start_paused = true)]
async fn the_hook_sees_errors_and_panics_and_nothing_else() {
    let (source, _) = TestSource::of(0..6_u32);
    let calls = Calls::default();
    let cue = Cue::new()
        .fail_when(|n| *n == 1)
        .panic_when(|n| *n == 3)
        .retry_when(|n| *n == 5);
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).on_failure(noting(&calls)))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let expected = [
        ("rejected", Some(1)),
        ("rejected", Some(3)),
        ("retried", Some(5)),
    ];
    assert_eq!(sorted(&calls), expected);
}

#[tokio::test(start_paused = true)]
async fn the_hook_may_change_what_becomes_of_a_failure() {
    let (source, outcomes) = TestSource::of(0..4_u32);
    let cue = Cue::new().fail_when(|n| *n > 0);
    let hook = |outcome: Outcome, origin: &Origin| match origin.position.map(|p| p.offset) {
        Some(1) => Outcome::Drop(Reason::new("forgiven")),
        Some(2) => Outcome::retry_after(Duration::from_secs(3)),
        _ => outcome,
    };
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).on_failure(hook))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let words: Vec<_> = (0..4).map(|n| outcomes.only(n).word()).collect();
    assert_eq!(words, ["done", "dropped", "retried", "rejected"]);
    assert_eq!(report.dropped[&"forgiven".into()], 1);
}

#[tokio::test(start_paused = true)]
async fn the_source_is_told_only_after_the_hook_has_seen_the_failure() {
    let (source, outcomes) = TestSource::of(0..1_u32);
    let told_before = Arc::new(Mutex::new(None));
    let hook = {
        let (outcomes, told_before) = (outcomes.clone(), told_before.clone());
        move |outcome: Outcome, _: &Origin| {
            *told_before.lock().unwrap() = Some(outcomes.total());
            outcome
        }
    };
    let cue = Cue::new().fail_when(|_| true);
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).on_failure(hook))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(*told_before.lock().unwrap(), Some(0));
    assert_eq!(outcomes.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_hook_of_a_sink_sees_every_message_of_a_batch_that_panicked() {
    let (source, outcomes) = TestSource::of(0..100_u32);
    let calls = Calls::default();
    let recorder = Recorder::new().panic_on_batch(0);
    let report = Flow::from(source)
        .batch(Batcher::new("collect").max_messages(100))
        .sink(recorder.sink("write").on_failure(noting(&calls)))
        .run()
        .await
        .unwrap();

    check(&report);
    let expected: Vec<_> = (0..100).map(|n| ("rejected", Some(n))).collect();
    assert_eq!(sorted(&calls), expected);
    assert_eq!(outcomes.count("rejected"), 100);
    assert_eq!(outcomes.count("done"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panicked_writes_the_next_batch() {
    let (source, outcomes) = TestSource::of(0..20_u32);
    let recorder = Recorder::new().panic_on_batch(0);
    let report = Flow::from(source)
        .batch(Batcher::new("collect").max_messages(10))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(recorder.items(), (10..20).collect::<Vec<_>>());
    assert_eq!(
        (outcomes.count("rejected"), outcomes.count("done")),
        (10, 10)
    );
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_changes_nothing_and_is_counted() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let cue = Cue::new().fail_when(|n| n % 2 == 1);
    let hook = |_: Outcome, _: &Origin| -> Outcome { panic!("the hook") };
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).on_failure(hook))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!((outcomes.count("done"), outcomes.count("rejected")), (5, 5));
    assert_eq!(rejected(&outcomes.only(1)).1, ["the handler fails on cue"]);
    assert_eq!(report.stages[0].counts.panicked, 5);
    assert_eq!(report.stages[0].counts.restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hook_of_a_sink_that_panics_is_contained() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let recorder = Recorder::new().fail_when(|n| *n == 4);
    let hook = |_: Outcome, _: &Origin| -> Outcome { panic!("the hook") };
    let report = Flow::from(source)
        .sink(recorder.sink("write").on_failure(hook))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!((outcomes.count("done"), outcomes.count("rejected")), (9, 1));
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_told_of_rejections_as_the_hook_left_them() {
    let (source, _) = TestSource::of(0..3_u32);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = {
        let seen = seen.clone();
        move |event: &Event| {
            if let EventKind::Rejected { cause } = &event.kind {
                seen.lock()
                    .unwrap()
                    .push((event.stage.to_string(), cause.chain()));
            }
        }
    };
    let hook = |outcome: Outcome, origin: &Origin| match origin.position.map(|p| p.offset) {
        Some(1) => Failure::reject("renamed").into_outcome(&"hook".into()),
        Some(2) => Outcome::retry(),
        _ => outcome,
    };
    let report = Flow::from(source)
        .process(
            Processor::new("handle", |_: u32| async {
                Err::<u32, _>(BoxError::from("bad"))
            })
            .workers(1)
            .on_failure(hook),
        )
        .acknowledge()
        .observer(observer)
        .run()
        .await
        .unwrap();

    check(&report);
    let event = |text: &str| ("handle".to_owned(), vec![text.to_owned()]);
    assert_eq!(*seen.lock().unwrap(), [event("bad"), event("renamed")]);
}
