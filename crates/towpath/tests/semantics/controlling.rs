//! The handle of a running pipeline: what it shows, and what can be changed.

mod concurrency;
mod policies;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use towpath::{
    Batcher, Ending, Event, EventKind, Flow, Phase, Processor, find, running, runtime::ControlError,
};
use towpath_test::{Cue, Recorder, TestSource, assert_no_leaks, check};

use crate::events::{Events, idle};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_paused_pipeline_asks_its_sources_for_nothing_and_finishes_what_it_has() {
    let (source, outcomes) = TestSource::new(0..1000).chunk(10).endless().build();
    let events = Events::new();
    let cue = Cue::new().delay(SECOND);
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).unordered(10))
        .acknowledge()
        .max_demand(10)
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    cue.wait_for(10).await;
    running.handle().pause();
    assert_eq!(running.handle().phase(), Phase::Paused);
    idle().await;
    let asked = outcomes.demands().len();
    sleep(HOUR).await;
    let counts = running.handle().status().counts;
    assert_eq!((counts.in_flight, counts.done), (0, counts.emitted));
    assert_eq!(
        outcomes.demands().len(),
        asked,
        "it was not asked for an hour"
    );
    running.handle().resume();
    assert_eq!(running.handle().phase(), Phase::Running);
    outcomes.wait_for(1000).await;
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 1000);
    assert_eq!(events.count(|e| matches!(e.kind, EventKind::Paused)), 1);
    assert_eq!(events.count(|e| matches!(e.kind, EventKind::Resumed)), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_interrupts_a_source_that_waits_and_loses_nothing() {
    let capacity = std::num::NonZeroUsize::new(100).unwrap();
    let (ingress, handle) = towpath::Ingress::new(capacity, towpath::Overflow::Reject);
    let recorder = Recorder::new();
    let source = towpath::Source::new("ingress", ingress);
    let running = Flow::from(source)
        .sink(recorder.sink("sink"))
        .start()
        .await
        .unwrap();
    handle.push(0).await.unwrap();
    recorder.wait_for(1).await;
    running.handle().pause();
    for n in 1..100 {
        handle.push(n).await.unwrap();
    }
    sleep(HOUR).await;
    assert_eq!(
        (recorder.items().len(), handle.len()),
        (1, 99),
        "it waits outside"
    );
    running.handle().resume();
    recorder.wait_for(100).await;
    drop(handle);
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!(recorder.items(), (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn pausing_and_resuming_twice_changes_nothing_more() {
    let (source, _) = TestSource::<u32>::new([]).endless().build();
    let events = Events::new();
    let pipeline = Flow::from(source).acknowledge().observer(events.observer());
    let running = pipeline.start().await.unwrap();
    let handle = running.handle();
    handle.resume();
    handle.pause();
    handle.pause();
    handle.resume();
    handle.resume();
    handle.drain();
    assert_no_leaks(&running.join().await.unwrap());
    let words: Vec<_> = events.all().iter().map(word).collect();
    assert_eq!(
        words,
        ["started", "paused", "resumed", "draining", "stopped"]
    );
}

fn word(event: &Event) -> &'static str {
    match event.kind {
        EventKind::Started => "started",
        EventKind::Paused => "paused",
        EventKind::Resumed => "resumed",
        EventKind::Draining => "draining",
        EventKind::Stopped => "stopped",
        _ => "other",
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_pipeline_drains_and_a_draining_one_is_not_resumed() {
    let (source, outcomes) = TestSource::new(0..10).endless().build();
    let cue = Cue::new().hang_when(|_| true);
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).unordered(10))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    cue.wait_for(10).await;
    running.handle().pause();
    running.handle().drain();
    running.handle().resume();
    running.handle().pause();
    assert_eq!(running.handle().phase(), Phase::Draining);
    cue.release();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 10);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_changed_is_refused() {
    let (source, _) = TestSource::<u64>::new([]).endless().build();
    let pipeline = Flow::from(source)
        .process(Processor::new("work", Cue::new().handler()))
        .batch(Batcher::new("batch"))
        .sink(Recorder::new().sink("sink"))
        .named("unchanged");
    let running = pipeline.start().await.unwrap();
    let handle = running.handle();
    let unknown = handle.set_concurrency("nobody", 1).unwrap_err();
    assert!(
        matches!(&unknown, ControlError::UnknownStage { stage, .. } if stage.as_str() == "nobody")
    );
    assert_eq!(
        unknown.to_string(),
        "the pipeline unchanged has no stage nobody"
    );
    for (stage, concurrency) in [("work", 0), ("batch", 2), ("sink", 2)] {
        let refused = handle.set_concurrency(stage, concurrency).unwrap_err();
        assert!(
            matches!(refused, ControlError::Concurrency { .. }),
            "{stage}"
        );
    }
    assert!(handle.kill_worker("nobody", 0).is_err());
    handle.drain();
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_running_pipeline_is_found_by_name_and_controlled_from_anywhere() {
    let (source, outcomes) = TestSource::new(0..10).endless().build();
    let pipeline = Flow::from(source).acknowledge().named("found by name");
    assert!(find("found by name").is_none(), "it does not run yet");
    let running_pipeline = pipeline.start().await.unwrap();
    outcomes.wait_for(10).await;
    let found = find("found by name").expect("it runs");
    assert_eq!(found.name().as_str(), "found by name");
    assert_eq!(found.status().counts.done, 10);
    assert!(running().iter().any(|p| p.name() == found.name()));
    found.stop(SECOND).await;
    assert!(find("found by name").is_none());
    assert_no_leaks(&running_pipeline.join().await.unwrap());
    assert_eq!(found.phase(), Phase::Stopped);
    assert_eq!(found.status().counts.done, 10, "the handle outlives it");
}

#[tokio::test(start_paused = true)]
async fn status_and_topology_name_every_stage() {
    let (source, outcomes) = TestSource::new(0..25_u64).endless().build();
    let cue = Cue::new().fail_when(|n| *n == 3);
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).ordered(4))
        .batch(Batcher::new("batch").max_messages(10).max_wait(SECOND))
        .sink(Recorder::new().sink("sink").workers(2))
        .dead_letter(Recorder::new().sink("letters"));
    let topology = pipeline.topology();
    let names: Vec<_> = topology
        .stages()
        .iter()
        .map(|s| s.name.as_str().to_owned())
        .collect();
    assert_eq!(names, ["source", "work", "batch", "sink", "letters"]);
    let bound = pipeline.explain().bound();
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for(25).await;
    let status = running.handle().status();
    assert_eq!((status.phase, status.bound), (Phase::Running, bound));
    let stages: Vec<_> = status
        .stages
        .iter()
        .map(|s| (s.name.as_str(), s.kind))
        .collect();
    let expected = [
        ("work", "processor"),
        ("batch", "batcher"),
        ("sink", "sink"),
        ("letters", "dead letters"),
    ];
    assert_eq!(stages, expected);
    let counts: Vec<_> = status
        .stages
        .iter()
        .map(|s| (s.counts.received, s.counts.sent, s.counts.failed))
        .collect();
    assert_eq!(counts, [(25, 24, 1), (24, 24, 0), (24, 24, 0), (1, 1, 0)]);
    running.handle().drain();
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_counted_once_as_a_failure_and_once_as_a_panic() {
    let (source, _) = TestSource::of(0..10_u64);
    let cue = Cue::new().panic_when(|n| *n == 3).fail_when(|n| *n == 5);
    let events = Events::new();
    let report = Flow::from(source)
        .process(Processor::new("work", cue.handler()))
        .acknowledge()
        .observer(events.observer())
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    let work = report.stages[0].counts;
    assert_eq!(
        (work.received, work.sent, work.failed, work.panicked),
        (10, 8, 2, 1)
    );
    assert_eq!((report.counts.rejected, report.causes.len()), (2, 2));
    let rejected = |event: &Event| matches!(event.kind, EventKind::Rejected { .. });
    assert_eq!(events.count(rejected), 2);
}

#[tokio::test(start_paused = true)]
async fn a_report_prints_serialises_and_has_an_exit_code() {
    let (source, _) = TestSource::of(0..10_u64);
    let cue = Cue::new()
        .fail_when(|n| *n == 3)
        .drop_when(|n| *n == 4)
        .delay(SECOND);
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).unordered(10))
        .sink(Recorder::new().sink("sink"))
        .named("reported");
    let report = pipeline.run().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((report.elapsed(), report.exit_code()), (SECOND, 0));
    let text = report.to_string();
    for part in [
        "reported: finished in 1s",
        "taken 10",
        "done 8",
        "rejected 1",
        "dropped 1",
        "work",
        "sink",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["name"], "reported");
    assert_eq!(json["ending"]["how"], "finished");
    assert_eq!(json["counts"]["done"], 8);
    assert_eq!(json["dropped"]["cue"], 1);
    assert_eq!(json["causes"][0][0], "the handler fails on cue");
    assert_eq!(json["stages"][0]["received"], 10);
    assert_eq!(json["sources"][0]["settled"]["confirmed"], 10);
    assert_eq!(json["latency"]["count"], json["counts"]["done"]);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_run_is_the_time_of_the_tokio_clock() {
    let (source, _) = TestSource::new(0..1_u64).endless().build();
    let running = Flow::from(source).acknowledge().start().await.unwrap();
    let begun = Instant::now();
    sleep(90 * SECOND).await;
    running.handle().drain();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(
        (report.elapsed(), &report.ending),
        (begun.elapsed(), &Ending::Stopped)
    );
}
