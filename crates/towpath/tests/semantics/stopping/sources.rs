//! How sources end a pipeline, hold it up, or keep it from starting.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use towpath::{
    Batch, BoxError, BuildError, Delivery, Ending, EventKind, Flow, Processor, Sink, SinkStage,
    Source, Written,
    core::{Intake, Permanent, Producer, Received, SinkPromise, Unacknowledged},
    find,
};
use towpath_test::{Cue, Recorder, TestSource, assert_no_leaks};

use crate::events::{Events, idle};

use super::{HOUR, SECOND};

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
async fn what_was_given_up_shows_as_left() {
    let (source, outcomes) = TestSource::new(0..6_u64).redelivering(3).build();
    let cue = Cue::new().retry_when(|n| n % 2 == 0);
    let report = Flow::from(source)
        .process(Processor::new("work", cue.handler()))
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!((outcomes.count("done"), outcomes.count("retried")), (3, 9));
    assert_eq!(
        (&report.ending, report.left, report.exit_code()),
        (&Ending::Finished, 3, 1)
    );
}
