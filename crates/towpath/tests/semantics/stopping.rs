//! How a pipeline ends: by itself, drained, at its deadline, dropped, or with an error.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, Semaphore, oneshot},
    time::{Instant, sleep, timeout},
};
use towpath::{
    Batch, Batcher, BoxError, BuildError, Delivery, Ending, EventKind, Flow, Phase, Pipeline,
    Processor, Sink, SinkStage, Source, Trigger, Written,
    core::{Intake, Permanent, Producer, Received, SinkPromise, Unacknowledged},
    find, running,
};
use towpath_test::{Cue, Recorder, TestSource, assert_no_leaks, check};

use crate::events::{Dice, Events, idle};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// What a stop may take beyond its deadline, to abort and to tell the sources.
const GRACE: Duration = Duration::from_secs(1);

/// A pipeline of `messages` that all hang in as many workers, until the cue is released.
fn hung(name: &str, messages: u64) -> (Pipeline, Cue<u64>, towpath_test::Outcomes) {
    let (source, outcomes) = TestSource::new(0..messages).endless().build();
    let cue = Cue::new().hang_when(|_| true);
    let workers = usize::try_from(messages).unwrap();
    let processor = Processor::new("work", cue.handler())
        .unordered(workers)
        .workers(workers);
    let pipeline = Flow::from(source)
        .process(processor)
        .acknowledge()
        .named(name);
    (pipeline, cue, outcomes)
}

#[tokio::test(start_paused = true)]
async fn a_finite_source_ends_the_pipeline_by_itself() {
    let (source, outcomes) = TestSource::of(0..100);
    let report = Flow::from(source).acknowledge().run().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((&report.ending, report.exit_code()), (&Ending::Finished, 0));
    assert_eq!(outcomes.count("done"), 100);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_without_messages_ends_at_once() {
    let (source, _) = TestSource::<u32>::of([]);
    let begun = Instant::now();
    let report = Flow::from(source)
        .batch(Batcher::new("batch").max_wait(HOUR))
        .sink(Recorder::new().sink("sink"))
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (report.counts.emitted, begun.elapsed()),
        (0, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_flushes_a_half_full_batch_at_once_and_finishes_what_was_taken() {
    let (source, outcomes) = TestSource::new(0..13).endless().build();
    let recorder = Recorder::new();
    let cue = Cue::new().delay(SECOND);
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).ordered(13))
        .batch(Batcher::new("batch").max_messages(10).max_wait(HOUR))
        .sink(recorder.sink("sink"));
    let running = pipeline.start().await.unwrap();
    cue.wait_for(13).await;
    let begun = Instant::now();
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(begun.elapsed(), SECOND);
    assert_eq!((&report.ending, report.exit_code()), (&Ending::Stopped, 0));
    assert_eq!(outcomes.count("done"), 13);
    let triggers: Vec<_> = recorder.batches().iter().map(|b| b.1.trigger).collect();
    assert_eq!(triggers, [Trigger::Count, Trigger::Drain]);
}

/// Hands out one number when it drains, and nothing before.
struct LastWord;

impl Producer for LastWord {
    type Payload = u32;
    type Acknowledger = Unacknowledged;

    async fn receive(&mut self, _: &mut Intake<u32, ()>) -> Result<Received, BoxError> {
        std::future::pending().await
    }

    async fn drain(&mut self, intake: &mut Intake<u32, ()>) -> Result<(), BoxError> {
        intake.push(Delivery::new(99, ()));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_source_hands_out_while_it_drains_still_goes_through() {
    let recorder = Recorder::new();
    let pipeline = Flow::from(Source::new("last word", LastWord)).sink(recorder.sink("sink"));
    let running = pipeline.start().await.unwrap();
    running.handle().stop(SECOND).await;
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(recorder.items(), [99]);
    assert_eq!(report.ending, Ending::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_source_is_not_asked_again_once_the_pipeline_drains() {
    let (pipeline, cue, outcomes) = hung("not asked again", 4);
    let running = pipeline.start().await.unwrap();
    cue.wait_for(4).await;
    idle().await;
    let asked = outcomes.demands().len();
    running.handle().drain();
    cue.release();
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.demands().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn the_way_back_to_the_source_stays_open_until_the_last_outcome() {
    let (source, outcomes) = TestSource::new(0..50).endless().build();
    let cue = Cue::new().delay_by(|n: &u64| SECOND * u32::try_from(*n % 7).unwrap());
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).unordered(50))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    cue.wait_for(50).await;
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((outcomes.count("done"), outcomes.total()), (50, 50));
    assert_eq!(report.sources[0].settled.confirmed, 50);
}

#[tokio::test(start_paused = true)]
async fn a_stop_with_many_hung_workers_returns_at_its_deadline_and_nothing_runs_afterwards() {
    let (pipeline, cue, outcomes) = hung("many hung", 64);
    let running = pipeline.start().await.unwrap();
    cue.wait_for(64).await;
    let begun = Instant::now();
    running.handle().stop(2 * SECOND).await;
    let took = begun.elapsed();
    assert!((2 * SECOND..2 * SECOND + GRACE).contains(&took), "{took:?}");
    assert_eq!(
        (cue.running(), cue.ends()),
        (0, 64),
        "every call was dropped"
    );
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::DeadlineExceeded);
    assert_eq!((report.left, report.exit_code()), (64, 1));
    assert_eq!(outcomes.count("retried"), 64, "all are given back");
    cue.release();
    idle().await;
    assert_eq!((cue.calls(), outcomes.total()), (64, 64), "nothing runs on");
}

#[tokio::test(start_paused = true)]
async fn a_stop_with_a_hung_sink_lists_what_is_left() {
    let (source, outcomes) = TestSource::new(0..7).endless().build();
    let recorder = Recorder::new().hang_on_batch(1);
    let pipeline = Flow::from(source)
        .batch(Batcher::new("batch").max_messages(4).max_wait(SECOND))
        .sink(recorder.sink("sink"));
    let running = pipeline.start().await.unwrap();
    recorder.wait_for_batches(2).await;
    running.handle().stop(SECOND).await;
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::DeadlineExceeded);
    assert_eq!(
        (report.counts.done, report.left, report.exit_code()),
        (4, 3, 1)
    );
    let mut left = report.abandoned.clone();
    left.sort_unstable();
    assert_eq!(left, ["test-4", "test-5", "test-6"]);
    assert_eq!((outcomes.count("done"), outcomes.count("retried")), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_takes_its_outcomes_does_not_hold_up_a_stop() {
    let (source, _) = TestSource::new(0..10).endless().settle_hangs().build();
    let cue = Cue::new();
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    cue.wait_for(10).await;
    let begun = Instant::now();
    running.handle().stop(SECOND).await;
    assert!(begun.elapsed() < SECOND + GRACE, "{:?}", begun.elapsed());
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (report.ending.clone(), report.exit_code()),
        (Ending::DeadlineExceeded, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_messages_wait_for_a_limit_loses_none() {
    let (source, outcomes) = TestSource::new(0..100).endless().build();
    let permits = Arc::new(Semaphore::new(3));
    let limited = move |n: u64| {
        let permits = permits.clone();
        async move {
            permits.acquire().await?.forget();
            Ok::<_, BoxError>(n)
        }
    };
    let pipeline = Flow::from(source)
        .process(Processor::new("limited", limited).unordered(16))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for(3).await;
    running.handle().stop(SECOND).await;
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.counts.done, 3);
    assert_eq!(report.counts.retried, report.counts.emitted - 3);
    assert_eq!(outcomes.total() as u64, report.counts.emitted);
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_is_harmless_and_so_is_one_after_the_end() {
    let (pipeline, cue, _) = hung("stopped twice", 4);
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    cue.wait_for(4).await;
    handle.drain();
    handle.drain();
    cue.release();
    tokio::join!(handle.stop(SECOND), handle.stop(HOUR));
    assert_eq!(handle.phase(), Phase::Stopped);
    handle.drain_within(Duration::ZERO);
    handle.stop(SECOND).await;
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_later_stop_shortens_the_time_that_is_left_and_never_lengthens_it() {
    let (pipeline, cue, _) = hung("shortened", 1);
    let running = pipeline.start().await.unwrap();
    cue.wait_for(1).await;
    let begun = Instant::now();
    running.handle().drain_within(Duration::MAX);
    running.handle().drain_within(10 * SECOND);
    running.handle().drain_within(HOUR);
    sleep(SECOND).await;
    running.handle().drain_within(SECOND);
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    let took = begun.elapsed();
    assert!((2 * SECOND..2 * SECOND + GRACE).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_the_deadline_of_the_pipeline() {
    let (pipeline, cue, _) = hung("own deadline", 1);
    let running = pipeline.drain_deadline(3 * SECOND).start().await.unwrap();
    cue.wait_for(1).await;
    let begun = Instant::now();
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    let took = begun.elapsed();
    assert!((3 * SECOND..3 * SECOND + GRACE).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_heard_among_any_number_of_kills() {
    let (pipeline, cue, _) = hung("many kills", 2);
    let running = pipeline.start().await.unwrap();
    cue.wait_for(2).await;
    for _ in 0..1000 {
        running.handle().kill_worker("work", 7).unwrap();
    }
    running.handle().drain_within(SECOND);
    let ended = timeout(HOUR, running.join())
        .await
        .expect("the stop was heard");
    assert_no_leaks(&ended.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_stop_its_own_pipeline() {
    let (source, outcomes) = TestSource::new(0..1000).endless().build();
    let stop_at_5 = |n: u64| async move {
        if n == 5 {
            find("stops itself").expect("it runs").drain();
        }
        Ok::<_, BoxError>(n)
    };
    let report = Flow::from(source)
        .process(Processor::new("work", stop_at_5).ordered(1))
        .acknowledge()
        .max_demand(4)
        .named("stops itself")
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::Stopped);
    assert_eq!(outcomes.count("done") as u64, report.counts.emitted);
    assert!((6..1000).contains(&report.counts.emitted));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_its_own_end_is_dropped_at_the_deadline() {
    let (source, outcomes) = TestSource::new(0..1).endless().build();
    let stop = |n: u64| async move {
        find("waits for itself")
            .expect("it runs")
            .stop(SECOND)
            .await;
        Ok::<_, BoxError>(n)
    };
    let report = Flow::from(source)
        .process(Processor::new("work", stop))
        .acknowledge()
        .named("waits for itself")
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::DeadlineExceeded);
    assert_eq!(outcomes.only(0).word(), "retried");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_running_pipeline_stops_it_and_gives_its_messages_back() {
    let (pipeline, cue, _) = hung("dropped", 4);
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    cue.wait_for(4).await;
    drop(running);
    let ended = timeout(HOUR, handle.stopped()).await;
    ended.expect("those who wait for the end learn it");
    assert_eq!(cue.running(), 0);
    let counts = handle.status().counts;
    assert_eq!(
        (counts.emitted, counts.retried, counts.in_flight),
        (4, 4, 0)
    );
    assert_eq!(handle.phase(), Phase::Stopped);
    assert!(find("dropped").is_none(), "its name is free");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_of_a_run_stops_the_pipeline() {
    let (pipeline, cue, _) = hung("run dropped", 4);
    let run = pipeline.run();
    assert!(timeout(SECOND, run).await.is_err(), "it hangs");
    idle().await;
    assert_eq!((cue.calls(), cue.running()), (4, 0));
    assert!(find("run dropped").is_none());
}

#[tokio::test(start_paused = true)]
async fn run_until_drains_when_it_is_told_and_ends_by_itself_otherwise() {
    let (pipeline, cue, outcomes) = hung("until", 3);
    let (tell, told) = oneshot::channel::<()>();
    let hand = cue.clone();
    let stopper = async move {
        hand.wait_for(3).await;
        tell.send(()).unwrap();
        hand.release();
    };
    let shutdown = async move { told.await.unwrap() };
    let (report, ()) = tokio::join!(pipeline.run_until(shutdown), stopper);
    let report = report.unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (&report.ending, outcomes.count("done")),
        (&Ending::Stopped, 3)
    );

    let (source, _) = TestSource::of(0..3);
    let report = Flow::from(source)
        .acknowledge()
        .run_until(std::future::pending())
        .await;
    assert_eq!(report.unwrap().ending, Ending::Finished);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_pipelines_that_stop_at_once_all_drain() {
    let mut pipelines = Vec::new();
    for n in 0..100 {
        let (source, outcomes) = TestSource::new(0..1000).endless().build();
        let cue = Cue::new().delay(SECOND);
        let pipeline = Flow::from(source)
            .process(Processor::new("work", cue.handler()).unordered(8))
            .batch(Batcher::new("batch").max_wait(HOUR))
            .sink(Recorder::new().sink("sink"))
            .named(format!("hundred-{n}"));
        pipelines.push((pipeline.start().await.unwrap(), cue, outcomes));
    }
    for (_, cue, _) in &pipelines {
        cue.wait_for(8).await;
    }
    let is_one = |p: &towpath::PipelineHandle| p.name().as_str().starts_with("hundred-");
    assert_eq!(running().into_iter().filter(is_one).count(), 100);
    for (running, ..) in &pipelines {
        running.handle().drain_within(HOUR);
    }
    for (running, _, outcomes) in pipelines {
        let report = running.join().await.unwrap();
        assert_no_leaks(&report);
        assert_eq!(report.ending, Ending::Stopped);
        assert_eq!(outcomes.count("done") as u64, report.counts.emitted);
    }
    assert_eq!(running().into_iter().filter(is_one).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_under_full_back_pressure_drains_every_stage() {
    let (source, outcomes) = TestSource::new(0..1_000_000).endless().build();
    let recorder = Recorder::new().hang_on_batch(0);
    let pipeline = Flow::from(source)
        .map(|n| n)
        .process(
            Processor::new("first", Cue::new().handler())
                .unordered(4)
                .workers(2),
        )
        .filter("none", |_| true)
        .process(Processor::new("second", Cue::new().handler()).by_key(4, |n| n % 3))
        .batch(Batcher::new("batch").max_messages(10).key(|n: &u64| n % 5))
        .sink(recorder.sink("sink"))
        .max_demand(8);
    let running = pipeline.start().await.unwrap();
    recorder.wait_for_batches(1).await;
    idle().await;
    let full = running.handle().status().counts;
    assert!(full.in_flight > 50, "{full:?}");
    running.handle().drain();
    recorder.release();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::Stopped);
    assert_eq!(outcomes.count("done") as u64, report.counts.emitted);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_for_good_ends_the_pipeline_and_what_was_taken_is_settled() {
    let (broken, told) = TestSource::new(0..100)
        .named("broken")
        .fail_for_good_at(7)
        .build();
    let (other, other_told) = TestSource::new(100..110).named("other").endless().build();
    let cue = Cue::new().delay(SECOND);
    let report = Flow::from(broken)
        .merge(Flow::from(other))
        .process(Processor::new("work", cue.handler()).unordered(32))
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    let Ending::Failed { error } = &report.ending else {
        panic!("{report}");
    };
    assert!(error[0].contains("broken"), "{error:?}");
    assert!(
        error.iter().any(|e| e.contains("gone before item 7")),
        "{error:?}"
    );
    assert_eq!((told.count("done"), told.total()), (7, 7));
    assert_eq!(other_told.count("done"), other_told.total());
    assert_eq!((report.left, report.exit_code()), (0, 1));
}

/// Out of reach a few times, then ends.
struct Flaky(u32);

impl Producer for Flaky {
    type Payload = u32;
    type Acknowledger = Unacknowledged;

    async fn receive(&mut self, intake: &mut Intake<u32, ()>) -> Result<Received, BoxError> {
        if self.0 == 0 {
            intake.push(Delivery::new(7, ()));
            return Ok(Received::End);
        }
        self.0 -= 1;
        Err("out of reach".into())
    }
}

fn pauses(events: &Events) -> Vec<Duration> {
    let pause = |event: towpath::Event| match event.kind {
        EventKind::SourceFailed { retry_in, .. } => Some(retry_in),
        _ => None,
    };
    events.all().into_iter().filter_map(pause).collect()
}

#[tokio::test(start_paused = true)]
async fn a_source_out_of_reach_is_tried_again_with_growing_pauses() {
    let events = Events::new();
    let begun = Instant::now();
    let report = Flow::from(Source::new("flaky", Flaky(12)))
        .acknowledge()
        .observer(events.observer())
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!((&report.ending, report.counts.done), (&Ending::Finished, 1));
    let pauses = pauses(&events);
    let doubling = pauses
        .windows(2)
        .all(|w| w[1] == (w[0] * 2).min(10 * SECOND));
    assert!(doubling && pauses.len() == 12, "{pauses:?}");
    assert_eq!(pauses.iter().sum::<Duration>(), begun.elapsed());
    assert_eq!(pauses.last(), Some(&(10 * SECOND)));
}

#[tokio::test(start_paused = true)]
async fn a_source_out_of_reach_does_not_hold_up_a_stop() {
    let events = Events::new();
    let pipeline = Flow::from(Source::new("flaky", Flaky(u32::MAX)))
        .acknowledge()
        .observer(events.observer());
    let running = pipeline.start().await.unwrap();
    let failed = |event: &towpath::Event| matches!(event.kind, EventKind::SourceFailed { .. });
    events.wait_for(10, failed).await;
    let begun = Instant::now();
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (&report.ending, begun.elapsed()),
        (&Ending::Stopped, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_not_ready_fails_the_start_and_leaves_the_name_free() {
    let (source, _) = TestSource::new(0..3)
        .named("missing file")
        .open_fails()
        .build();
    let pipeline = Flow::from(source).acknowledge().named("cannot start");
    let error = pipeline.start().await.unwrap_err();
    let BuildError::Open { stage, source } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(stage.as_str(), "missing file");
    assert_eq!(source.to_string(), "open fails on cue");
    assert!(error.to_string().contains("missing file"));
    assert!(find("cannot start").is_none());
}

/// A sink without its file.
#[derive(Clone)]
struct NoFile;

impl Sink<u64> for NoFile {
    async fn open(&mut self) -> Result<(), BoxError> {
        Err("no such file".into())
    }

    async fn write(&mut self, _: Batch<u64>) -> Result<Written, BoxError> {
        Ok(Written::All)
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_not_ready_fails_the_start_before_a_source_is_asked() {
    let (source, outcomes) = TestSource::new(0..3_u64).build();
    let sink = SinkStage::new("no file", NoFile, SinkPromise::Plain);
    let error = Flow::from(source).sink(sink).start().await.unwrap_err();
    assert!(error.to_string().contains("no file"), "{error}");
    idle().await;
    assert!(outcomes.demands().is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_pipelines_of_one_name_are_refused_and_the_name_is_free_after_the_end() {
    let (first, cue, _) = hung("only one", 1);
    let first = first.start().await.unwrap();
    let (second, ..) = hung("only one", 1);
    let refused = second.start().await.unwrap_err();
    assert!(matches!(refused, BuildError::NameTaken { pipeline } if pipeline == "only one".into()));
    cue.release();
    first.handle().drain();
    assert_no_leaks(&first.join().await.unwrap());
    let (third, cue, _) = hung("only one", 1);
    cue.release();
    let third = third.start().await.unwrap();
    third.handle().stop(SECOND).await;
    assert_no_leaks(&third.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_successor_never_runs_beside_what_is_left_of_a_pipeline_of_its_name() {
    let cue = Cue::new().hang_when(|_| true);
    let start = || {
        let (source, _) = TestSource::new(0..1_u64).endless().build();
        let processor = Processor::new("work", cue.handler());
        Flow::from(source)
            .process(processor)
            .acknowledge()
            .named("successor")
            .start()
    };
    for generation in 1..=5 {
        let running = start().await.unwrap();
        cue.wait_for(generation).await;
        let handle = running.handle().clone();
        if generation % 2 == 0 {
            drop(running);
            handle.stopped().await;
        } else {
            handle.stop(SECOND).await;
            check(&running.join().await.unwrap());
        }
    }
    assert_eq!((cue.calls(), cue.max_running()), (5, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_keeps_the_name_but_not_the_report() {
    let entered = Arc::new(Notify::new());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(std::sync::Mutex::new(released));
    let start = || {
        let (entered, released) = (entered.clone(), released.clone());
        let block = move |n: u64| {
            let (entered, released) = (entered.clone(), released.clone());
            async move {
                entered.notify_one();
                released.lock().unwrap().recv().unwrap();
                Ok::<_, BoxError>(n)
            }
        };
        let (source, _) = TestSource::new(0..1_u64).endless().build();
        let processor = Processor::new("work", block);
        Flow::from(source)
            .process(processor)
            .acknowledge()
            .named("blocks")
            .start()
    };
    let running = start().await.unwrap();
    entered.notified().await;
    running.handle().stop(Duration::ZERO).await;
    let report = running.join().await.unwrap();
    assert_eq!(
        (&report.ending, report.left),
        (&Ending::DeadlineExceeded, 1)
    );
    assert!(
        matches!(start().await, Err(BuildError::NameTaken { .. })),
        "it still runs"
    );
    release.send(()).unwrap();
    while find("blocks").is_some() {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    let successor = start().await.unwrap();
    entered.notified().await;
    successor.handle().stop(HOUR).await;
    check(&successor.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn sources_of_different_kinds_are_merged_and_end_together() {
    let (test, outcomes) = TestSource::of(0..10_u64);
    let (ingress, handle) = towpath::Ingress::new(
        std::num::NonZeroUsize::new(16).unwrap(),
        towpath::Overflow::Wait,
    );
    let recorder = Recorder::new();
    let pipeline = Flow::from(test)
        .merge(Flow::from(Source::iter("numbers", 10..20)))
        .merge(Flow::from(Source::new("ingress", ingress)).map(|n: u64| n + 20))
        .merge(Flow::from(Source::new("broken", Broken)).map(u64::from))
        .sink(recorder.sink("sink"));
    let running = pipeline.start().await.unwrap();
    for n in 0..10 {
        handle.push(n).await.unwrap();
    }
    handle.close();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 10);
    let mut items = recorder.items();
    items.sort_unstable();
    assert_eq!(items, (0..30).collect::<Vec<_>>());
    assert_eq!(report.sources.len(), 4);
    assert!(matches!(report.ending, Ending::Failed { .. }));
}

/// Gone for good when it is asked first, after the others have had their say.
struct Broken;

impl Producer for Broken {
    type Payload = u32;
    type Acknowledger = Unacknowledged;

    async fn receive(&mut self, _: &mut Intake<u32, ()>) -> Result<Received, BoxError> {
        sleep(HOUR).await;
        Err(Permanent::new("gone").into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_worker_can_be_killed_and_its_place_is_free_again() {
    let (source, outcomes) = TestSource::of(0..5);
    let cue = Cue::new().hang_when(|n| *n == 0);
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).ordered(1))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    cue.wait_for(1).await;
    running.handle().kill_worker("work", 0).unwrap();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.only(0).word(), "retried");
    assert_eq!(outcomes.total(), 5);
    assert_eq!(cue.running(), 0);
}

/// Stops a pipeline after a while, with little time or much.
async fn stopped_anywhere(seed: u64) {
    let mut dice = Dice::new(seed);
    let (source, outcomes) = TestSource::new(0..300_u64).endless().build();
    let cue = Cue::new()
        .delay_by(|n| Duration::from_millis(n % 11))
        .fail_when(|n| n % 13 == 0)
        .hang_when(move |n| seed.is_multiple_of(3) && n % 50 == 49);
    let recorder = Recorder::new().delay(Duration::from_millis(3));
    let letters = Recorder::new().delay(Duration::from_millis(1));
    let pipeline = Flow::from(source)
        .process(
            Processor::new("work", cue.handler())
                .unordered(8)
                .workers(2),
        )
        .flat_map(|n| [n, n])
        .batch(
            Batcher::new("batch")
                .max_messages(9)
                .max_wait(Duration::from_millis(7)),
        )
        .sink(recorder.sink("sink").workers(2))
        .dead_letter(letters.sink("letters"))
        .max_demand(usize::try_from(1 + dice.below(20)).unwrap());
    let running = pipeline.start().await.unwrap();
    sleep(Duration::from_micros(dice.below(60_000))).await;
    running
        .handle()
        .drain_within(Duration::from_micros(dice.below(30_000)));
    let ended = timeout(60 * SECOND, running.join()).await;
    let report = ended
        .unwrap_or_else(|_| panic!("seed {seed}: does not end"))
        .unwrap();
    check(&report);
    let ended_well = report.ending == Ending::Stopped;
    assert_eq!(report.exit_code() == 0, ended_well, "seed {seed}: {report}");
    assert_eq!(
        outcomes.total() as u64,
        report.counts.emitted,
        "seed {seed}: all are told"
    );
    assert_eq!(
        report.left > 0,
        report.counts.retried > 0,
        "seed {seed}: {report}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_at_any_moment_leaves_every_message_with_one_outcome() {
    for seed in 0..200 {
        stopped_anywhere(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_real_threads_too_a_stop_at_any_moment_leaves_every_message_with_one_outcome() {
    for seed in 0..20 {
        stopped_anywhere(seed).await;
    }
}
