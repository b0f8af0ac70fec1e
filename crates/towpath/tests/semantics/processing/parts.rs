//! One message that becomes several: it is acknowledged when all of them are.

use std::time::Duration;

use towpath::{Batcher, BoxError, Flow, Outcome, Processor};
use towpath_test::{Cue, Recorder, TestSource, check};

#[tokio::test(start_paused = true)]
async fn a_message_is_done_when_the_last_of_its_parts_is() {
    let (source, outcomes) = TestSource::of([1_u32]);
    let cue = Cue::new().hang_when(|n| *n == 12);
    let running = Flow::from(source)
        .flat_map(|n| [n * 10, n * 10 + 1, n * 10 + 2])
        .process(Processor::new("handle", cue.handler()))
        .acknowledge()
        .start()
        .await
        .unwrap();

    cue.wait_for_ends(2).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(outcomes.total(), 0);
    cue.release();
    let report = running.join().await.unwrap();
    check(&report);
    assert!(outcomes.only(0).is_done());
    assert_eq!(report.counts.emitted, 1);
}

#[tokio::test(start_paused = true)]
async fn the_worst_outcome_of_the_parts_is_the_outcome_of_the_whole() {
    // Each message becomes three parts, with the outcomes that its digits name.
    let (source, outcomes) = TestSource::of(["ddd", "dfd", "drf", "sds", "sss", "frd"]);
    let cue = Cue::new()
        .fail_when(|c| *c == 'f')
        .retry_when(|c| *c == 'r')
        .drop_when(|c| *c == 's');
    let report = Flow::from(source)
        .flat_map(|text: &'static str| text.chars())
        .process(Processor::new("handle", cue.handler()))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let words: Vec<_> = (0..6).map(|n| outcomes.only(n).word()).collect();
    assert_eq!(
        words,
        ["done", "rejected", "retried", "done", "dropped", "retried"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_without_parts_is_dropped_as_empty() {
    let (source, outcomes) = TestSource::of([0_u32, 2]);
    let split = |n: u32| async move { Ok::<_, BoxError>((0..n).collect::<Vec<_>>()) };
    let report = Flow::from(source)
        .process(Processor::flat_map("split", split))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert!(matches!(outcomes.only(0), Outcome::Drop(r) if r.as_str() == "empty"));
    assert!(outcomes.only(1).is_done());
}

#[tokio::test(start_paused = true)]
async fn parts_may_go_through_different_batches() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let recorder = Recorder::new().fail_when(|n| *n == 42);
    let report = Flow::from(source)
        .flat_map(|n| (0..7).map(move |part| n * 10 + part))
        .batch(Batcher::new("collect").max_messages(4))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(recorder.items().len(), 69);
    for n in 0..10 {
        let word = if n == 4 { "rejected" } else { "done" };
        assert_eq!(outcomes.only(n).word(), word);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_parts_are_made_fails_the_message() {
    let (source, outcomes) = TestSource::of(0..4_u32);
    let parts = |n: u32| {
        (0..3).inspect(move |part| assert!(n != 2 || *part != 1, "the second part of two"))
    };
    let report = Flow::from(source)
        .flat_map(parts)
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let words: Vec<_> = (0..4).map(|n| outcomes.only(n).word()).collect();
    assert_eq!(words, ["done", "done", "rejected", "done"]);
}

#[tokio::test(start_paused = true)]
async fn one_message_may_become_more_than_fit_into_every_buffer() {
    let (source, outcomes) = TestSource::of([100_000_u32]);
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .flat_map(|n| 0..n)
        .process(Processor::new("handle", |n: u32| async move {
            Ok::<_, BoxError>(n)
        }))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert!(outcomes.only(0).is_done());
    assert_eq!(recorder.items().len(), 100_000);
}
