//! How long calls take, and how busy stages are.

use tokio::time::sleep;
use towpath::{Batcher, BoxError, Flow, Processor, RateLimit, core::Timing};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::{TIMINGS, Watching, distribution, ms, reported, stage};

#[tokio::test(start_paused = true)]
async fn a_stage_that_always_works_is_busy_all_the_time_and_the_others_are_not() {
    for timing in TIMINGS {
        let (source, _) = TestSource::of(0..100_u64);
        let (cue, idle) = (Cue::new().delay(ms(10)), Cue::new());
        let report = Flow::from(source)
            .process(Processor::new("works", cue.handler()).unordered(1))
            .process(Processor::new("idles", idle.handler()))
            .acknowledge()
            .telemetry(Watching::of(timing))
            .run()
            .await
            .unwrap();
        check(&report);
        assert_eq!(report.elapsed(), ms(1000));
        let (works, idles) = (reported(&report, "works"), reported(&report, "idles"));
        assert_eq!((works.busy, works.utilisation), (ms(1000), Some(1.0)));
        assert_eq!((idles.busy, idles.utilisation), (ms(0), Some(0.0)));
        assert_eq!(works.duration, distribution([ms(10); 100]));
        assert_eq!(idles.duration, distribution([ms(0); 100]));
    }
}

#[tokio::test(start_paused = true)]
async fn slots_count_as_busy_while_their_calls_still_run() {
    for timing in TIMINGS {
        let (source, _) = TestSource::new(0..2_u64).endless().build();
        let cue = Cue::new().delay(ms(1000));
        let running = Flow::from(source)
            .process(Processor::new("works", cue.handler()).unordered(4))
            .acknowledge()
            .telemetry(Watching::of(timing))
            .start()
            .await
            .unwrap();
        sleep(ms(500)).await;
        let status = running.handle().status();
        let works = stage(&status, "works");
        assert_eq!((works.busy, works.utilisation), (ms(1000), Some(0.5)));
        assert_eq!((works.in_flight, works.duration.count), (2, 0));
        sleep(ms(3500)).await;
        let status = running.handle().status();
        let works = stage(&status, "works");
        assert_eq!((works.busy, works.utilisation), (ms(2000), Some(0.125)));
        assert_eq!(works.duration, distribution([ms(1000); 2]));
        running.handle().drain();
        check(&running.join().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn durations_are_those_of_the_calls_whatever_their_order_and_outcome() {
    for timing in TIMINGS {
        let (source, _) = TestSource::of(0..50_u64);
        let cue = Cue::new()
            .delay_by(|n| ms(n * 7 % 31))
            .fail_when(|n| n % 5 == 0);
        let report = Flow::from(source)
            .process(Processor::new("works", cue.handler()).ordered(8).workers(1))
            .acknowledge()
            .telemetry(Watching::of(timing))
            .run()
            .await
            .unwrap();
        check(&report);
        let took: Vec<_> = (0..50).map(|n| ms(n * 7 % 31)).collect();
        let works = reported(&report, "works");
        assert_eq!(works.duration, distribution(took.iter().copied()));
        assert_eq!(works.busy, took.iter().sum::<std::time::Duration>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_nobody_times_counts_and_measures_nothing() {
    let (source, _) = TestSource::of(0..10_u64);
    let (cue, recorder) = (Cue::new().delay(ms(10)), Recorder::new());
    let report = Flow::from(source)
        .process(Processor::new("works", cue.handler()))
        .batch(Batcher::new("collect").max_messages(5))
        .sink(recorder.sink("write"))
        .telemetry(Watching::of(Timing::Off))
        .run()
        .await
        .unwrap();
    check(&report);
    for stage in &report.stages {
        assert_eq!((stage.duration.count, stage.queue_time.count), (0, 0));
        assert_eq!((stage.busy, stage.utilisation), (ms(0), None));
        assert_eq!(stage.counts.received, 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_is_timed_by_its_writes() {
    let (source, _) = TestSource::of(0..100_u64);
    let recorder = Recorder::new().delay(ms(50)).error_on_batch(3);
    let report = Flow::from(source)
        .batch(Batcher::new("collect").max_messages(10))
        .sink(recorder.sink("write"))
        .telemetry(Watching::of(Timing::Chunks))
        .run()
        .await
        .unwrap();
    check(&report);
    let write = reported(&report, "write");
    assert_eq!(write.duration, distribution([ms(50); 10]));
    assert_eq!((write.busy, write.utilisation), (ms(500), Some(1.0)));
    assert_eq!(reported(&report, "collect").utilisation, None);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_processor_is_timed_by_its_calls() {
    for timing in TIMINGS {
        let (source, _) = TestSource::of(0..60_u64);
        let look_up = |chunk: Vec<u64>| async move {
            sleep(ms(20)).await;
            Ok::<_, BoxError>(chunk.into_iter().map(Ok::<_, BoxError>).collect())
        };
        let report = Flow::from(source)
            .process(Processor::chunk("look up", look_up).max_messages(10))
            .acknowledge()
            .telemetry(Watching::of(timing))
            .run()
            .await
            .unwrap();
        check(&report);
        let stage = reported(&report, "look up");
        assert_eq!(stage.duration, distribution([ms(20); 6]));
        assert_eq!(stage.busy, ms(120));
    }
}

#[tokio::test(start_paused = true)]
async fn messages_wait_for_the_calls_before_them() {
    for timing in TIMINGS {
        let (source, _) = TestSource::of(0..20_u64);
        let cue = Cue::new().delay(ms(10));
        let report = Flow::from(source)
            .process(Processor::new("works", cue.handler()).unordered(1))
            .acknowledge()
            .telemetry(Watching::of(timing))
            .run()
            .await
            .unwrap();
        check(&report);
        let waits = (0..20).map(|n| ms(n * 10));
        assert_eq!(reported(&report, "works").queue_time, distribution(waits));
    }
}

#[tokio::test(start_paused = true)]
async fn what_several_workers_offer_each_other_waits_once() {
    let (source, _) = TestSource::of(0..40_u64);
    let cue = Cue::new().delay(ms(10));
    let processor = Processor::new("works", cue.handler());
    let report = Flow::from(source)
        .process(processor.unordered(4).workers(2))
        .acknowledge()
        .telemetry(Watching::of(Timing::Chunks))
        .run()
        .await
        .unwrap();
    check(&report);
    let waits = (0..40).map(|n| ms(n / 4 * 10));
    assert_eq!(reported(&report, "works").queue_time, distribution(waits));
}

#[tokio::test(start_paused = true)]
async fn batches_wait_for_the_write_before_them() {
    let (source, _) = TestSource::of(0..50_u64);
    let recorder = Recorder::new().delay(ms(10));
    let report = Flow::from(source)
        .batch(Batcher::new("collect").max_messages(10))
        .sink(recorder.sink("write"))
        .telemetry(Watching::of(Timing::Chunks))
        .run()
        .await
        .unwrap();
    check(&report);
    // One is written and one is in the link: the others wait in the batcher, and not there.
    let waits = [ms(0), ms(10), ms(10), ms(10), ms(10)];
    assert_eq!(reported(&report, "write").queue_time, distribution(waits));
}

#[tokio::test(start_paused = true)]
async fn calls_that_panic_are_failures_without_a_duration() {
    for timing in TIMINGS {
        let (source, _) = TestSource::of(0..30_u64);
        let cue = Cue::new()
            .panic_when(|n| n % 3 == 0)
            .delay_by(|n| ms(n % 2));
        let report = Flow::from(source)
            .process(Processor::new("works", cue.handler()).unordered(4))
            .acknowledge()
            .telemetry(Watching::of(timing))
            .run()
            .await
            .unwrap();
        check(&report);
        let works = reported(&report, "works");
        assert_eq!((works.counts.panicked, works.counts.failed), (10, 10));
        let took = (0..30).filter(|n| n % 3 != 0).map(|n| ms(n % 2));
        assert_eq!(works.duration, distribution(took));
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_killed_leaves_no_slot_busy() {
    for timing in TIMINGS {
        let (source, _) = TestSource::new(0..4_u64).endless().build();
        let cue = Cue::new().hang_when(|_| true);
        let processor = Processor::new("works", cue.handler());
        let running = Flow::from(source)
            .process(processor.unordered(4).workers(1))
            .acknowledge()
            .telemetry(Watching::of(timing))
            .start()
            .await
            .unwrap();
        sleep(ms(1000)).await;
        running.handle().kill_worker("works", 0).unwrap();
        sleep(ms(1000)).await;
        let status = running.handle().status();
        let works = stage(&status, "works");
        assert_eq!((works.busy, works.in_flight), (ms(4000), 0));
        assert_eq!((works.counts.given_back, works.counts.restarts), (4, 1));
        running.handle().drain();
        check(&running.join().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_turn_is_not_timed_before_it() {
    for timing in TIMINGS {
        let (source, _) = TestSource::of(0..5_u64);
        let cue = Cue::new().delay(ms(1));
        let limit = RateLimit::per_second(10).burst(1);
        let report = Flow::from(source)
            .process(Processor::new("works", cue.handler()).rate_limit(limit))
            .acknowledge()
            .telemetry(Watching::of(timing))
            .run()
            .await
            .unwrap();
        check(&report);
        let works = reported(&report, "works");
        assert_eq!(works.duration, distribution([ms(1); 5]));
    }
}
