//! The handle of a running pipeline: what it shows, and what can be changed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use towpath::{
    Batcher, BoxError, Ending, Event, EventKind, Flow, Phase, Pipeline, Processor, find, running,
    runtime::ControlError,
};
use towpath_test::{Cue, Outcomes, Recorder, TestSource, assert_no_leaks, check};

use crate::events::{Dice, Events, idle};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Counts calls that run, and the most since it was last asked.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicUsize,
    max: AtomicUsize,
}

impl Gauge {
    async fn second(&self) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.max.fetch_max(now, SeqCst);
        sleep(SECOND).await;
        self.now.fetch_sub(1, SeqCst);
    }

    fn most(&self) -> usize {
        self.max.swap(0, SeqCst)
    }
}

/// Each message takes a second.
fn gauged(concurrency: usize, workers: usize) -> (Pipeline, Arc<Gauge>, Outcomes) {
    let (source, outcomes) = TestSource::new(0..10_000_u64).endless().build();
    let gauge = Arc::new(Gauge::default());
    let counted = gauge.clone();
    let work = move |n: u64| {
        let gauge = counted.clone();
        async move {
            gauge.second().await;
            Ok::<_, BoxError>(n)
        }
    };
    let processor = Processor::new("work", work)
        .unordered(concurrency)
        .workers(workers);
    (
        Flow::from(source).process(processor).acknowledge(),
        gauge,
        outcomes,
    )
}

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
async fn concurrency_can_be_raised_while_every_call_runs() {
    let (source, outcomes) = TestSource::new(0..100).endless().build();
    let cue = Cue::new().hang_when(|_| true);
    let processor = Processor::new("work", cue.handler())
        .unordered(2)
        .workers(2);
    let pipeline = Flow::from(source).process(processor).acknowledge();
    let running = pipeline.start().await.unwrap();
    cue.wait_for(2).await;
    idle().await;
    assert_eq!(cue.calls(), 2);
    running.handle().set_concurrency("work", 7).unwrap();
    idle().await;
    assert_eq!((cue.calls(), cue.running()), (7, 7));
    assert_eq!(running.handle().status().stages[0].concurrency, 7);
    cue.release();
    outcomes.wait_for(100).await;
    running.handle().drain();
    assert_no_leaks(&running.join().await.unwrap());
    assert_eq!(cue.max_running(), 7);
}

#[tokio::test(start_paused = true)]
async fn concurrency_follows_up_and_down_exactly() {
    for workers in [1, 2, 4] {
        let (pipeline, gauge, _) = gauged(8, workers);
        let running = pipeline.start().await.unwrap();
        let handle = running.handle().clone();
        for limit in [8, 3, 1, 5, 16, 2] {
            handle.set_concurrency("work", limit).unwrap();
            // What runs already is finished first.
            sleep(SECOND + SECOND / 2).await;
            gauge.most();
            sleep(5 * SECOND).await;
            assert_eq!(gauge.most(), limit, "{workers} workers");
        }
        handle.drain();
        assert_no_leaks(&running.join().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_left_without_a_share_strands_nothing() {
    for operators in [false, true] {
        let (source, outcomes) = TestSource::of(0..200_u64);
        let cue = Cue::new().delay(SECOND);
        let processor = Processor::new("work", cue.handler())
            .unordered(8)
            .workers(4);
        let flow = Flow::from(source);
        let pipeline = if operators {
            let flow = flow.map(|n| n).filter("none", |_| true);
            flow.process(processor).acknowledge()
        } else {
            flow.process(processor).acknowledge()
        };
        let running = pipeline.max_demand(5).start().await.unwrap();
        cue.wait_for(20).await;
        running.handle().set_concurrency("work", 1).unwrap();
        let report = timeout(HOUR, running.join())
            .await
            .expect("nothing is stranded");
        assert_no_leaks(&report.unwrap());
        assert_eq!(outcomes.count("done"), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunk_processor_follows_its_concurrency_too() {
    let (source, outcomes) = TestSource::new(0..100_u64).endless().build();
    let gauge = Arc::new(Gauge::default());
    let counted = gauge.clone();
    let chunk = move |items: Vec<u64>| {
        let gauge = counted.clone();
        async move {
            gauge.second().await;
            Ok::<_, BoxError>(items.into_iter().map(Ok::<_, BoxError>).collect::<Vec<_>>())
        }
    };
    let processor = Processor::chunk("work", chunk)
        .max_messages(5)
        .concurrency(4);
    let running = Flow::from(source)
        .process(processor)
        .acknowledge()
        .start()
        .await
        .unwrap();
    running.handle().set_concurrency("work", 1).unwrap();
    sleep(3 * SECOND).await;
    gauge.most();
    sleep(5 * SECOND).await;
    assert_eq!(gauge.most(), 1);
    running.handle().set_concurrency("work", 3).unwrap();
    outcomes.wait_for(100).await;
    assert_eq!(gauge.most(), 3);
    running.handle().drain();
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_bound_grows_with_the_concurrency() {
    let (source, outcomes) = TestSource::new(0..2000).endless().build();
    let cue = Cue::new().hang_when(|_| true);
    let processor = Processor::new("work", cue.handler()).unordered(1);
    let pipeline = Flow::from(source)
        .process(processor)
        .acknowledge()
        .max_demand(2);
    let running = pipeline.start().await.unwrap();
    let built = running.handle().status().bound;
    running.handle().set_concurrency("work", 1000).unwrap();
    cue.wait_for(1000).await;
    running.handle().set_concurrency("work", 1).unwrap();
    let status = running.handle().status();
    assert!(status.bound >= 1000 && status.bound > built, "{status:?}");
    cue.release();
    outcomes.wait_for(2000).await;
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert!(report.counts.high_water >= 1000);
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
    assert!(json["latency"]["p50_us"].is_number());
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_changes_at_any_moment_loses_no_wake_up() {
    for seed in 0..30 {
        println!("seed {seed}");
        let mut dice = Dice::new(seed);
        let (source, outcomes) = TestSource::new(0..3000_u64).build();
        let yields = |n: u64| async move {
            tokio::task::yield_now().await;
            Ok::<_, BoxError>(n)
        };
        let chunks = |items: Vec<u64>| async move {
            tokio::task::yield_now().await;
            Ok::<_, BoxError>(items.into_iter().map(Ok::<_, BoxError>).collect::<Vec<_>>())
        };
        let flow = Flow::from(source).map(|n| n);
        let pipeline = if seed % 2 == 0 {
            let processor = Processor::new("work", yields).unordered(8).workers(4);
            flow.process(processor).acknowledge()
        } else {
            let processor = Processor::chunk("work", chunks)
                .max_messages(3)
                .concurrency(8);
            flow.process(processor).acknowledge()
        };
        let running = pipeline.max_demand(7).start().await.unwrap();
        let handle = running.handle().clone();
        let mut ended = std::pin::pin!(timeout(MINUTE, running.join()));
        let report = loop {
            let limit = usize::try_from(1 + dice.below(8)).unwrap();
            handle.set_concurrency("work", limit).unwrap();
            tokio::select! {
                biased;
                report = &mut ended => match report {
                    Ok(report) => break report.unwrap(),
                    Err(late) => panic!("seed {seed}: {late}: {:#?}", handle.status()),
                },
                () = tokio::task::yield_now() => {}
            }
        };
        check(&report);
        assert_eq!(outcomes.count("done"), 3000);
    }
}
