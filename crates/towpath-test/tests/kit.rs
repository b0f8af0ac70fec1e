//! The kit does what it says, so that a test that leans on it can.

use std::time::Duration;

use towpath::{
    Batcher, BoxError, DeadLetter, Ending, Flow, Processor, SettleOptions, Trigger,
    core::{Identity, Position},
};
use towpath_test::{Cue, Probe, Recorder, TestSource, assert_no_leaks, check};

#[tokio::test(start_paused = true)]
async fn every_item_has_its_outcome_and_its_origin() {
    let (source, outcomes) = TestSource::of(0..10);
    let recorder = Recorder::<DeadLetter>::new();
    let report = Flow::from(source)
        .try_map(|n| if n == 3 { Err("three") } else { Ok(n) })
        .acknowledge()
        .dead_letter(recorder.sink("letters"))
        .run()
        .await
        .unwrap();

    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 9);
    assert_eq!(outcomes.only(3).word(), "rejected");
    let origin = recorder.items()[0].origin.clone();
    assert_eq!(origin.identity, Some(Identity::from("test-3")));
    assert_eq!(
        origin.position,
        Some(Position {
            partition: 0,
            offset: 3
        })
    );
    assert_eq!(origin.attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_hands_out_no_more_than_its_chunk() {
    let (source, outcomes) = TestSource::new(0..10).chunk(3).build();
    let recorder = Recorder::new();
    let report = Flow::from(source).sink(recorder.sink("record")).run().await;

    check(&report.unwrap());
    assert_eq!(recorder.items(), (0..10).collect::<Vec<_>>());
    assert!(recorder.batches().iter().all(|(items, _)| items.len() <= 3));
    assert_eq!(outcomes.demands().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_or_panics_on_cue_loses_nothing() {
    let (source, outcomes) = TestSource::new(0..10)
        .fail_receive_at(4)
        .panic_receive_at(7)
        .build();
    let report = Flow::from(source).acknowledge().run().await.unwrap();

    check(&report);
    assert_eq!(outcomes.count("done"), 10);
    assert_eq!(outcomes.demands().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_for_good_fails_its_pipeline() {
    let (source, outcomes) = TestSource::new(0..10).fail_for_good_at(4).build();
    let report = Flow::from(source).acknowledge().run().await.unwrap();

    check(&report);
    assert!(matches!(report.ending, Ending::Failed { .. }), "{report}");
    assert_eq!(outcomes.count("done"), 4);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_on_cue_waits_for_the_stop() {
    let (source, outcomes) = TestSource::new(0..10).hang_at(4).build();
    let running = Flow::from(source).acknowledge().start().await.unwrap();
    outcomes.wait_for(4).await;
    running.handle().drain();
    let report = running.join().await.unwrap();

    check(&report);
    assert_eq!(report.ending, Ending::Stopped);
    assert_eq!(outcomes.total(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_comes_again_until_its_last_attempt() {
    let cue = Cue::new().retry_when(|n| *n == 1);
    let (source, outcomes) = TestSource::new(0..3).redelivering(3).build();
    let report = Flow::from(source)
        .process(Processor::new("cue", cue.handler()))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.of(1).len(), 3);
    assert!(outcomes.of(1).iter().all(|o| o.word() == "retried"));
    assert_eq!(cue.calls_of(&1), 3);
    let attempts = outcomes.attempts();
    assert!(attempts.contains(&(1, 3)) && !attempts.contains(&(0, 2)));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledger_fails_and_panics_as_often_as_it_was_told_to() {
    let (source, outcomes) = TestSource::new(0..3)
        .settle_panics(2)
        .settle_fails(1)
        .build();
    let report = Flow::from(source).acknowledge().run().await.unwrap();

    check(&report);
    assert_eq!(outcomes.count("done"), 3);
    assert_eq!(outcomes.settle_calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_source_knows_the_options_it_was_told_of() {
    let (source, outcomes) = TestSource::new(0..2).knows_option("on_failure").build();
    let report = Flow::from(source)
        .configure_ack(|n| {
            let name = if *n == 0 { "on_failure" } else { "on_weekends" };
            Some(SettleOptions::default().set(name, "ack"))
        })
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.options_of(0)[0].get("on_failure"), Some("ack"));
    assert!(outcomes.options_of(1).is_empty());
    assert_eq!(outcomes.only(1).word(), "rejected");
}

#[tokio::test(start_paused = true)]
async fn a_recorder_fails_single_messages_and_whole_batches_on_cue() {
    let (source, outcomes) = TestSource::of(0..10);
    let recorder = Recorder::new()
        .fail_when(|n| *n == 1)
        .retry_when(|n| *n == 2)
        .panic_on_batch(1)
        .error_on_batch(2);
    let report = Flow::from(source)
        .batch(Batcher::new("batch").max_messages(3))
        .sink(recorder.sink("record"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(recorder.items(), [0, 9]);
    assert_eq!(recorder.batches().len(), 4);
    assert_eq!(recorder.batches()[3].1.trigger, Trigger::Drain);
    assert_eq!(outcomes.only(2).word(), "retried");
    assert_eq!(outcomes.count("done"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_recorder_that_hangs_goes_on_when_released() {
    let (source, outcomes) = TestSource::of(0..3);
    let recorder = Recorder::new().hang_on_batch(0);
    let pipeline = Flow::from(source).sink(recorder.sink("record"));
    let running = pipeline.start().await.unwrap();
    recorder.wait_for_batches(1).await;
    assert_eq!(outcomes.total(), 0);

    recorder.release();
    recorder.wait_for(3).await;
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cue_counts_calls_and_sees_how_many_run_at_once() {
    let cue = Cue::new()
        .fail_when(|n| *n == 1)
        .drop_when(|n| *n == 2)
        .panic_when(|n| *n == 3)
        .delay(Duration::from_millis(10));
    let (source, outcomes) = TestSource::of(0..20);
    let report = Flow::from(source)
        .process(Processor::new("cue", cue.handler()).unordered(5))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!((cue.calls(), cue.ends(), cue.running()), (20, 20, 0));
    assert_eq!(cue.max_running(), 5);
    assert_eq!(cue.starts()[..5], [0, 1, 2, 3, 4]);
    assert_eq!(outcomes.count("done"), 17);
    assert_eq!(outcomes.only(2).word(), "dropped");
}

#[tokio::test(start_paused = true)]
async fn a_probe_hears_the_outcome_of_each_message() {
    let (source, probe) = Probe::new();
    let running = Flow::from(source)
        .process(Processor::new("odd", |n: u32| async move {
            if n % 2 == 1 {
                return Err(BoxError::from("odd"));
            }
            Ok(n)
        }))
        .acknowledge()
        .start()
        .await
        .unwrap();

    assert_eq!(probe.send(1).await.word(), "rejected");
    let outcomes = probe.send_batch([2, 3, 4]).await;
    let words: Vec<_> = outcomes.iter().map(towpath::Outcome::word).collect();
    assert_eq!(words, ["done", "rejected", "done"]);
    drop(probe);
    check(&running.join().await.unwrap());
}
