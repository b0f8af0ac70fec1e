//! Which stage holds the others back.

use tokio::time::sleep;
use towpath::{
    Batcher, BoxError, Flow, Pipeline, PipelineHandle, Processor, RateLimit, core::Timing,
};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::{Watching, ms};

const TIMINGS: [Timing; 3] = [Timing::Off, Timing::Chunks, Timing::Messages];

/// Three processors, a batcher and a sink, one of which takes long over each message.
fn slow_at(slow: &str) -> Pipeline {
    let (source, _) = TestSource::new(0..1_000_000_u64).chunk(64).build();
    let works = |name: &'static str| {
        let delay = if name == slow { ms(20) } else { ms(1) };
        let handler = move |n: u64| async move {
            sleep(delay).await;
            Ok::<_, BoxError>(n)
        };
        Processor::new(name, handler).unordered(4)
    };
    let write = if slow == "write" { ms(1000) } else { ms(1) };
    Flow::from(source)
        .process(works("first"))
        .process(works("second"))
        .process(works("third"))
        .batch(Batcher::new("collect").max_messages(20))
        .sink(Recorder::new().delay(write).sink("write"))
}

fn bottleneck(handle: &PipelineHandle) -> Option<String> {
    let found = handle.status().bottleneck;
    found.map(|name| name.as_str().to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_slow_stage_is_named_wherever_it_is() {
    for timing in TIMINGS {
        for slow in ["first", "second", "third", "write"] {
            let pipeline = slow_at(slow).telemetry(Watching::of(timing));
            let running = pipeline.start().await.unwrap();
            sleep(ms(20_000)).await;
            let found = bottleneck(running.handle());
            assert_eq!(found.as_deref(), Some(slow), "with timing {timing:?}");
            running.handle().drain_within(ms(100));
            check(&running.join().await.unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_waits_for_its_source_has_none() {
    for timing in TIMINGS {
        let (source, _) = TestSource::new(0..100_u64).endless().build();
        let cue = Cue::new().delay(ms(10));
        let running = Flow::from(source)
            .process(Processor::new("works", cue.handler()).unordered(1))
            .acknowledge()
            .telemetry(Watching::of(timing))
            .start()
            .await
            .unwrap();
        sleep(ms(10_000)).await;
        assert_eq!(bottleneck(running.handle()), None);
        running.handle().drain();
        check(&running.join().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_long_ago_does_not_count() {
    // Idle for a long time, and busy since: over the whole run it is hardly ever busy.
    let (source, _) = TestSource::new(0..100_000_u64).build();
    let cue = Cue::new().delay(ms(10));
    let running = Flow::from(source)
        .process(Processor::new("works", cue.handler()).unordered(1))
        .acknowledge()
        .telemetry(Watching::of(Timing::Chunks))
        .start()
        .await
        .unwrap();
    let handle = running.handle();
    handle.pause();
    sleep(ms(100_000)).await;
    assert_eq!(bottleneck(handle), None);
    handle.resume();
    sleep(ms(2000)).await;
    assert_eq!(bottleneck(handle), Some("works".to_owned()));
    let works = handle.status().stages[0].utilisation.unwrap();
    assert!(works < 0.1, "since the beginning");
    running.handle().drain_within(ms(100));
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_is_held_back_by_its_rate_limit_is_it() {
    let (source, _) = TestSource::new(0..100_000_u64).build();
    let limit = RateLimit::per_second(10);
    let running = Flow::from(source)
        .process(Processor::new("before", Cue::new().handler()))
        .process(Processor::new("limited", Cue::new().handler()).rate_limit(limit))
        .acknowledge()
        .telemetry(Watching::of(Timing::Chunks))
        .start()
        .await
        .unwrap();
    sleep(ms(10_000)).await;
    assert_eq!(bottleneck(running.handle()), Some("limited".to_owned()));
    running.handle().drain_within(ms(100));
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn forks_are_looked_through() {
    let (source, _) = TestSource::new(0..100_000_u64).build();
    let slow = Cue::new().delay(ms(50));
    let running = Flow::from(source)
        .process(Processor::new("before", Cue::new().handler()))
        .tee("copy", |copies| {
            let quick = Processor::new("quick", Cue::new().handler());
            let slow = Processor::new("slow", slow.handler()).unordered(1);
            copies
                .required("one", move |flow| flow.process(slow).acknowledge())
                .required("other", move |flow| flow.process(quick).acknowledge())
        })
        .telemetry(Watching::of(Timing::Chunks))
        .start()
        .await
        .unwrap();
    sleep(ms(10_000)).await;
    assert_eq!(bottleneck(running.handle()), Some("slow".to_owned()));
    running.handle().drain_within(ms(100));
    check(&running.join().await.unwrap());
}
