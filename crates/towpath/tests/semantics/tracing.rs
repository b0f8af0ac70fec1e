//! What the trace of a message shows: one tree from its receipt to its settlement.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attempts;
mod batches;
mod current;
mod endings;

use std::time::Duration;

use tokio::time::sleep;
use towpath::prelude::*;
use towpath_test::{Recorder, TestSource, Traces, assert_no_leaks};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_message_has_one_tree_with_its_waits_its_stages_its_batch_and_its_settlement() {
    let (source, outcomes) = TestSource::of([1]);
    let (traces, recorder) = (Traces::new(), Recorder::new());
    let report = Flow::from(source)
        .process(Processor::new("parse", |n: i32| async move {
            sleep(SECOND).await;
            Ok::<_, BoxError>(n)
        }))
        .process(Processor::new("enrich", |n: i32| async move {
            sleep(2 * SECOND).await;
            Ok::<_, BoxError>(n)
        }))
        .batch(Batcher::new("pairs").max_messages(2).max_wait(3 * SECOND))
        .sink(recorder.delay(4 * SECOND).sink("table"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    traces.check(&report);
    assert_eq!(outcomes.only(0).word(), "done");
    assert_eq!(
        traces.tree(),
        "poll source\n\
         \x20 queue parse\n\
         \x20 process parse\n\
         \x20 queue enrich\n\
         \x20 process enrich\n\
         \x20 batch pairs 1\n\
         \x20   send table 1\n\
         \x20 queue table\n\
         \x20 create table\n\
         \x20 settle done\n"
    );
    let took = |name: &str| {
        let span = traces.named(name).pop().unwrap();
        span.took()
    };
    assert_eq!(took("process parse"), SECOND);
    assert_eq!(took("process enrich"), 2 * SECOND);
    assert_eq!(took("send table 1"), 4 * SECOND);
    assert_eq!(took("create table"), 4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_waits_shows_how_long_and_for_which_stage() {
    let (source, _) = TestSource::of([1, 2]);
    let traces = Traces::new();
    let one_by_one = Processor::new("slow", |n: i32| async move {
        sleep(SECOND).await;
        Ok::<_, BoxError>(n)
    });
    let report = Flow::from(source)
        .process(one_by_one.concurrency(1))
        .sink(Recorder::new().sink("kept"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    let waits = traces.named("queue slow");
    let waits: Vec<_> = waits.iter().map(towpath_test::SpanLine::took).collect();
    assert_eq!(waits, [Duration::ZERO, SECOND]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_delivered_again_goes_on_with_its_trace() {
    let traces = Traces::new();
    let source = Source::redelivering("numbers", towpath::producer::IterSource::new(0..1_u32));
    let report = Flow::from(source)
        .process(Processor::with_context(
            "fails once",
            |call: Call<u32>| async move {
                if call.origin.attempt < 2 {
                    return Err(Failure::retry("busy").after(SECOND));
                }
                Ok(call.payload)
            },
        ))
        .sink(Recorder::new().sink("kept"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    assert_eq!(report.counts.emitted, 2);
    let spans = traces.spans();
    assert!(
        spans.iter().all(|span| span.trace == spans[0].trace),
        "{}",
        traces.tree()
    );
    assert_eq!(traces.named("settle retried").len(), 1);
    assert_eq!(traces.named("settle done").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_message_are_in_its_trace() {
    let (source, _) = TestSource::of([3]);
    let traces = Traces::new();
    let parts = Processor::flat_map("split", |n: i32| async move {
        Ok::<_, BoxError>((0..n).collect())
    });
    let report = Flow::from(source)
        .process(parts)
        .process(Processor::new("each", |n: i32| async move {
            Ok::<_, BoxError>(n)
        }))
        .sink(Recorder::new().sink("kept"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    assert_eq!(traces.named("process split").len(), 1);
    assert_eq!(traces.named("process each").len(), 3);
    assert_eq!(traces.named("create kept").len(), 3);
    let spans = traces.spans();
    assert!(spans.iter().all(|span| span.trace == spans[0].trace));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_redelivers_by_itself_is_told_the_headers_to_go_on_with() {
    let (source, _) = TestSource::new([1]).redelivering(2).build();
    let traces = Traces::new();
    let report = Flow::from(source)
        .process(Processor::with_context(
            "fails once",
            |call: Call<i32>| async move {
                if call.origin.attempt < 2 {
                    return Err(Failure::retry("busy"));
                }
                Ok(call.payload)
            },
        ))
        .sink(Recorder::new().sink("kept"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    let polls = traces.named("poll source");
    assert_eq!(polls[1].parent, Some(polls[0].id), "{}", traces.tree());
}
