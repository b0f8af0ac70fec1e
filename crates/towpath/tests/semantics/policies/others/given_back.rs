//! Dedup on a stage, and messages that a later one gives back.

use std::{collections::HashSet, hash::Hash, sync::Mutex};

use towpath::{BoxError, Dedup, Flow, Outcome, Processor, policy::context};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::{SECOND, ms, retry};

/// True for the first of each key.
fn once<T, K>(key: fn(&T) -> K) -> impl Fn(&T) -> bool
where
    T: 'static,
    K: Eq + Hash + Send + 'static,
{
    let seen = Mutex::new(HashSet::new());
    move |message: &T| seen.lock().unwrap().insert(key(message))
}

fn is_duplicate(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Drop(reason) if reason.as_str() == "duplicate")
}

fn words(outcomes: &[Outcome]) -> Vec<&'static str> {
    outcomes.iter().map(Outcome::word).collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_that_a_later_stage_gave_back_is_worked_on_again_and_none_is_lost() {
    let (source, outcomes) = TestSource::new(0..20_u64).redelivering(3).build();
    let (first, second) = (Cue::new(), Cue::new().retry_when(once(|n: &u64| *n)));
    let recorder = Recorder::new().retry_when(once(|n: &u64| *n));
    let report = Flow::from(source)
        .process(Processor::new("ship", first.handler()).dedup(Dedup::by_key(|n: &u64| *n)))
        .process(Processor::new("bill", second.handler()))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();
    check(&report);
    for n in 0..20 {
        assert_eq!(words(&outcomes.of(n)), ["retried", "retried", "done"]);
        assert_eq!(first.calls_of(&n), 3);
    }
    let mut items = recorder.items();
    items.sort_unstable();
    assert_eq!(items, (0..20).collect::<Vec<_>>(), "each of them, once");
}

#[tokio::test(start_paused = true)]
async fn beside_messages_that_come_again_duplicates_are_dropped_as_ever() {
    // Three of each key; the sink gives back what it gets first.
    for takes in [ms(0), ms(10)] {
        let items = (0..30_u64).map(|n| (n % 10, n));
        let (source, outcomes) = TestSource::new(items).redelivering(2).build();
        let recorder = Recorder::new().retry_when(once(|m: &(u64, u64)| m.0));
        let cue = Cue::new().delay(takes);
        let report = Flow::from(source)
            .process(
                Processor::new("ship", cue.handler())
                    .dedup(Dedup::by_key(|m: &(u64, u64)| m.0))
                    .unordered(30),
            )
            .sink(recorder.sink("write").workers(1))
            .run()
            .await
            .unwrap();
        check(&report);
        for n in 0..10 {
            assert_eq!(words(&outcomes.of(n)), ["retried", "done"]);
        }
        assert!((10..30).all(|n| is_duplicate(&outcomes.only(n))));
        let mut items = recorder.items();
        items.sort_unstable();
        assert_eq!(items, (0..10).map(|n| (n, n)).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_again_while_its_key_is_in_flight_is_a_duplicate_of_that() {
    // The first fails at once, and the second of its key takes a second.
    let (source, outcomes) = TestSource::new([(7_u64, 0_u64), (7, 1)])
        .redelivering(2)
        .build();
    let cue = Cue::new()
        .retry_when(|m: &(u64, u64)| m.1 == 0)
        .delay_by(|m| if m.1 == 0 { ms(0) } else { SECOND });
    let report = Flow::from(source)
        .process(
            Processor::new("ship", cue.handler())
                .dedup(Dedup::by_key(|m: &(u64, u64)| m.0))
                .unordered(2),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(cue.starts(), [(7, 0), (7, 1)]);
    assert_eq!(words(&outcomes.of(0)), ["retried", "dropped"]);
    assert!(outcomes.only(1).is_done());
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_that_was_tried_again_in_place_before_is_a_duplicate() {
    let (source, outcomes) = TestSource::of([(7_u64, 0_u64), (7, 1)]);
    let load = Cue::new().fail_when(once(|m: &(u64, u64)| *m));
    let ship = |message: (u64, u64)| {
        assert_eq!((towpath::attempt(), context::redelivered()), (2, false));
        std::future::ready(Ok::<_, BoxError>(message))
    };
    let report = Flow::from(source)
        .process(
            Processor::new("load", load.handler())
                .retry(retry(3))
                .ordered(1),
        )
        .process(Processor::new("ship", ship).dedup(Dedup::by_key(|m: &(u64, u64)| m.0)))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(load.calls(), 4);
    assert!(outcomes.only(0).is_done() && is_duplicate(&outcomes.only(1)));
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_was_given_back_is_worked_on_again_and_other_chunks_of_its_key_are_not() {
    let (source, outcomes) = TestSource::new(0..9_u64).chunk(3).redelivering(2).build();
    let recorder = Recorder::new().retry_when(once(|n: &u64| *n));
    let work = |chunk: Vec<u64>| async move {
        Ok::<_, BoxError>(chunk.into_iter().map(Ok::<_, BoxError>).collect::<Vec<_>>())
    };
    let report = Flow::from(source)
        .process(
            Processor::chunk("ship", work)
                .max_messages(3)
                .concurrency(1)
                .dedup(Dedup::by_key(|_: &Vec<u64>| 7_u64)),
        )
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();
    check(&report);
    assert!((0..3).all(|n| words(&outcomes.of(n)) == ["retried", "done"]));
    assert!((3..9).all(|n| is_duplicate(&outcomes.only(n))));
    let mut items = recorder.items();
    items.sort_unstable();
    assert_eq!(items, [0, 1, 2]);
}
