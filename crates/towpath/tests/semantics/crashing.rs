//! Workers and sources that die: who goes on, what comes back, and when the pipeline gives up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod closures;
mod credit;

use std::time::Duration;

use tokio::time::{sleep, timeout};
use towpath::{Batcher, Ending, Event, EventKind, Flow, Processor, Report, Restarts, Strategy};
use towpath_test::{Cue, Recorder, TestSource, assert_no_leaks, check};

use crate::events::{Events, idle};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

fn restarts(report: &Report, stage: &str) -> u64 {
    let found = report.stages.iter().find(|s| s.name.as_str() == stage);
    found.expect("there is such a stage").counts.restarts
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_is_asked_again_and_loses_nothing() {
    let (source, outcomes) = TestSource::new(0..20).panic_receive_at(5).build();
    let events = Events::new();
    let cue = Cue::new();
    let report = Flow::from(source)
        .process(Processor::new("work", cue.handler()))
        .acknowledge()
        .observer(events.observer())
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::Finished);
    assert_eq!((report.counts.done, report.counts.retried), (20, 0));
    assert_eq!(outcomes.count("done"), 20);
    let failed = |event: &Event| matches!(event.kind, EventKind::SourceFailed { .. });
    assert_eq!(events.count(failed), 1);
    assert_eq!(restarts(&report, "work"), 0, "the worker went on");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_dies_is_started_again_alone_and_goes_on_where_it_was() {
    let (source, outcomes) = TestSource::new(0..100).chunk(1).redelivering(9).build();
    let events = Events::new();
    let cue = Cue::new().delay(Duration::from_millis(1));
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).ordered(1))
        .acknowledge()
        .max_demand(1)
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    cue.wait_for(10).await;
    running.handle().kill_worker("source", 0).unwrap();
    events.wait_for_restarts(1).await;
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::Finished);
    assert_eq!(outcomes.count("done"), 100);
    assert_eq!(restarts(&report, "work"), 0, "the worker went on");
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_dies_takes_nothing_with_it_that_it_had_sent() {
    let (source, outcomes) = TestSource::new(0..8).endless().build();
    let events = Events::new();
    let cue = Cue::new().hang_when(|_| true);
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).unordered(8))
        .acknowledge()
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    cue.wait_for(8).await;
    running.handle().kill_worker("source", 0).unwrap();
    events.wait_for_restarts(1).await;
    cue.release();
    outcomes.wait_for(8).await;
    assert_eq!(outcomes.count("done"), 8);
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_gives_its_messages_back_and_the_others_go_on() {
    let (source, outcomes) = TestSource::of(0..4);
    let events = Events::new();
    let cue = Cue::new().hang_when(|_| true);
    let pipeline = Flow::from(source)
        .process(
            Processor::new("work", cue.handler())
                .unordered(4)
                .workers(4),
        )
        .acknowledge()
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    cue.wait_for(4).await;
    running.handle().kill_worker("work", 1).unwrap();
    cue.wait_for_ends(1).await;
    assert_eq!(cue.running(), 3, "the others go on");
    events.wait_for_restarts(1).await;
    cue.release();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((outcomes.count("done"), outcomes.count("retried")), (3, 1));
    assert_eq!(restarts(&report, "work"), 1);
    assert_eq!(report.left, 1, "this source does not deliver again");
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_worker_held_comes_again_and_is_done() {
    let (source, outcomes) = TestSource::new(0..50).redelivering(5).build();
    let events = Events::new();
    let cue = Cue::new().delay(Duration::from_millis(5));
    let pipeline = Flow::from(source)
        .process(
            Processor::new("work", cue.handler())
                .unordered(4)
                .workers(2),
        )
        .acknowledge()
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    for kill in 1..=3 {
        cue.wait_for(kill * 10).await;
        running.handle().kill_worker("work", 0).unwrap();
        events.wait_for_restarts(kill).await;
    }
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 50);
    assert!(outcomes.count("retried") > 0);
    assert_eq!((report.left, report.exit_code()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batcher_that_dies_gives_its_open_batches_back() {
    let (source, outcomes) = TestSource::new(0..5).redelivering(2).endless().build();
    let events = Events::new();
    let recorder = Recorder::new();
    let (cue, batcher) = (Cue::new(), Batcher::new("batch").max_messages(100));
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).ordered(1))
        .batch(batcher.max_wait(HOUR))
        .sink(recorder.sink("sink"))
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    cue.wait_for(5).await;
    idle().await;
    running.handle().kill_worker("batch", 0).unwrap();
    outcomes.wait_for(5).await;
    assert_eq!(outcomes.count("retried"), 5);
    cue.wait_for(10).await;
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 5);
    assert_eq!(recorder.items(), [0, 1, 2, 3, 4]);
    assert_eq!(
        (restarts(&report, "batch"), restarts(&report, "work")),
        (1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_dies_gives_its_batch_back_and_goes_on_with_the_next() {
    let (source, outcomes) = TestSource::new(0..6).redelivering(2).build();
    let recorder = Recorder::new().hang_on_batch(0);
    let pipeline = Flow::from(source)
        .batch(Batcher::new("batch").max_messages(2))
        .sink(recorder.sink("sink"));
    let running = pipeline.start().await.unwrap();
    recorder.wait_for_batches(1).await;
    running.handle().kill_worker("sink", 0).unwrap();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 6);
    assert_eq!(outcomes.count("retried"), 2);
    let mut items = recorder.items();
    items.sort_unstable();
    assert_eq!(items, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn more_deaths_than_allowed_fail_the_pipeline_and_give_everything_back() {
    let (source, outcomes) = TestSource::new(0..100).endless().build();
    let events = Events::new();
    let cue = Cue::new().hang_when(|_| true);
    let pipeline = Flow::from(source)
        .process(
            Processor::new("work", cue.handler())
                .unordered(8)
                .workers(2),
        )
        .acknowledge()
        .restarts(Restarts::at_most(2, Duration::from_secs(5)))
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    cue.wait_for(8).await;
    for kill in 1..=2 {
        running.handle().kill_worker("work", 0).unwrap();
        events.wait_for_restarts(kill).await;
    }
    running.handle().kill_worker("work", 0).unwrap();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    let Ending::Failed { error } = &report.ending else {
        panic!("{report}");
    };
    assert!(error[0].contains("work"), "{error:?}");
    assert_eq!(report.counts.retried, report.counts.emitted);
    assert_eq!(outcomes.count("retried"), outcomes.total());
    assert_eq!(
        outcomes.total() as u64,
        report.counts.emitted,
        "all are told"
    );
    assert_eq!((report.exit_code(), cue.running()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn deaths_that_lie_apart_never_fail_the_pipeline() {
    let (source, _) = TestSource::new(0..1).endless().build();
    let events = Events::new();
    let pipeline = Flow::from(source)
        .process(Processor::new("work", Cue::new().handler()))
        .acknowledge()
        .restarts(Restarts::at_most(1, Duration::from_secs(5)))
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    for kill in 1..=10 {
        running.handle().kill_worker("work", 0).unwrap();
        events.wait_for_restarts(kill).await;
        sleep(Duration::from_secs(6)).await;
    }
    running.handle().drain();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.ending, Ending::Stopped);
}

/// One message hangs in each of two stages; tells which of them come back when one dies.
async fn given_back(strategy: Strategy, dies: &str) -> Vec<(u64, &'static str)> {
    let (source, outcomes) = TestSource::new(0..2).endless().build();
    let events = Events::new();
    let first = Cue::new().hang_when(|n| *n == 1);
    let second = Cue::new().hang_when(|_| true);
    let pipeline = Flow::from(source)
        .process(
            Processor::new("first", first.handler())
                .unordered(2)
                .workers(1),
        )
        .process(
            Processor::new("second", second.handler())
                .unordered(2)
                .workers(1),
        )
        .acknowledge()
        .restarts(Restarts::default().strategy(strategy))
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    first.wait_for(2).await;
    second.wait_for(1).await;
    running.handle().kill_worker(dies, 0).unwrap();
    events.wait_for_restarts(1).await;
    idle().await;
    let words = outcomes.words();
    first.release();
    second.release();
    running.handle().drain();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.ending, Ending::Stopped);
    words
}

#[tokio::test(start_paused = true)]
async fn one_for_one_starts_the_dead_worker_alone() {
    let back = given_back(Strategy::OneForOne, "second").await;
    assert_eq!(back, [(0, "retried")]);
    let back = given_back(Strategy::OneForOne, "first").await;
    assert_eq!(back, [(1, "retried")]);
}

#[tokio::test(start_paused = true)]
async fn rest_for_one_starts_the_stages_behind_the_dead_one_too() {
    let mut back = given_back(Strategy::RestForOne, "first").await;
    back.sort_unstable();
    assert_eq!(back, [(0, "retried"), (1, "retried")]);
    let back = given_back(Strategy::RestForOne, "second").await;
    assert_eq!(back, [(0, "retried")], "what is before it goes on");
    let mut back = given_back(Strategy::RestForOne, "source").await;
    back.sort_unstable();
    assert_eq!(back, [(0, "retried"), (1, "retried")]);
}

#[tokio::test(start_paused = true)]
async fn one_for_all_starts_every_worker_again() {
    let mut back = given_back(Strategy::OneForAll, "second").await;
    back.sort_unstable();
    assert_eq!(back, [(0, "retried"), (1, "retried")]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_while_the_pipeline_drains_is_started_again_and_the_drain_goes_on() {
    let (source, outcomes) = TestSource::new(0..8).endless().build();
    let events = Events::new();
    let cue = Cue::new().hang_when(|_| true);
    let pipeline = Flow::from(source)
        .process(
            Processor::new("work", cue.handler())
                .unordered(2)
                .workers(2),
        )
        .acknowledge()
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    cue.wait_for(2).await;
    running.handle().drain();
    running.handle().kill_worker("work", 0).unwrap();
    events.wait_for_restarts(1).await;
    cue.release();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::Stopped);
    assert_eq!((outcomes.count("done"), outcomes.count("retried")), (7, 1));
}

#[tokio::test(start_paused = true)]
async fn a_writer_of_letters_that_dies_gives_its_messages_back() {
    let (source, outcomes) = TestSource::new(0..6_u64).redelivering(2).build();
    let cue = Cue::new().fail_when(|_| true);
    let letters = Recorder::new().hang_on_batch(0);
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()))
        .acknowledge()
        .dead_letter(letters.sink("letters"));
    let running = pipeline.start().await.unwrap();
    letters.wait_for_batches(1).await;
    idle().await;
    running.handle().kill_worker("letters", 0).unwrap();
    let report = timeout(MINUTE, running.join()).await.unwrap().unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("rejected"), 6);
    assert_eq!(letters.items().len(), 6, "one letter each");
    assert!(outcomes.count("retried") > 0);
}
