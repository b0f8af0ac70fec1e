//! How a pipeline ends: by itself, drained, at its deadline, dropped, or with an error.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod anywhere;
mod names;
mod sources;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, sleep, timeout},
};
use towpath::{
    Batcher, BoxError, Delivery, Ending, Flow, Phase, Pipeline, Processor, Source, Trigger,
    core::{Intake, Producer, Received, Unacknowledged},
    find, running,
};
use towpath_test::{Cue, Recorder, TestSource, assert_no_leaks, check};

use crate::events::idle;

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
