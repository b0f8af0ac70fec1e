//! How spans end when something goes wrong.

use super::*;
use towpath::core::EventKind;

use crate::events::Events;

async fn run_one(
    stage: impl towpath::core::Stage<i32, Out = i32>,
) -> (Traces, Report, Recorder<DeadLetter>) {
    let (source, _) = TestSource::of([1]);
    let (traces, letters) = (Traces::new(), Recorder::new());
    let report = Flow::from(source)
        .process(stage)
        .sink(Recorder::new().sink("kept"))
        .dead_letter(letters.sink("letters"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    traces.check(&report);
    (traces, report, letters)
}

#[tokio::test(start_paused = true)]
async fn an_error_is_how_its_stage_ends_and_its_letter_goes_on_with_the_trace() {
    let broken = Processor::new("broken", |_: i32| async move { Err::<i32, _>("never") });
    let (traces, _, letters) = run_one(broken).await;
    assert_eq!(traces.named("process broken")[0].how, "_OTHER");
    assert_eq!(
        traces.tree(),
        "poll source\n\
         \x20 queue broken\n\
         \x20 process broken (_OTHER)\n\
         \x20 send letters 1\n\
         \x20 queue letters\n\
         \x20 create letters\n\
         \x20 settle rejected\n"
    );
    let letter = letters.items().pop().unwrap();
    let root = &traces.spans()[0];
    let expected = format!("00-{:032x}-{:016x}-01", root.trace, root.id);
    assert_eq!(letter.trace.get("traceparent"), Some(&*expected));
    let written = serde_json::to_value(&letter).unwrap();
    assert_eq!(written["trace"]["traceparent"], expected);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_how_its_stage_ends() {
    let broken = Processor::new("broken", |n: i32| async move {
        assert!(n > 1, "too small");
        Ok::<_, BoxError>(n)
    });
    let (traces, ..) = run_one(broken).await;
    assert_eq!(traces.named("process broken")[0].how, "panic");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_left_out_on_purpose_ends_well() {
    let out = Processor::filter_map("filter", "unwanted", |_: i32| async move {
        Ok::<Option<i32>, BoxError>(None)
    });
    let (traces, ..) = run_one(out).await;
    assert_eq!(traces.named("process filter")[0].how, "done");
    assert_eq!(traces.named("settle dropped").len(), 1);
    let drops = Processor::new("drops", |_: i32| async move {
        Err::<i32, _>(Failure::drop("unwanted"))
    });
    let (traces, ..) = run_one(drops).await;
    assert_eq!(traces.named("process drops")[0].how, "done");
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_worker_had_in_hand_is_abandoned_and_its_trace_is_whole() {
    let (source, _) = TestSource::of(0..8);
    let (traces, events) = (Traces::new(), Events::new());
    let hangs = Processor::new("hangs", |n: i32| async move {
        std::future::pending::<()>().await;
        Ok::<_, BoxError>(n)
    });
    let running = Flow::from(source)
        .process(hangs.concurrency(8))
        .sink(Recorder::new().sink("kept"))
        .telemetry(traces.clone())
        .observer(events.observer())
        .start()
        .await
        .unwrap();
    sleep(SECOND).await;
    let handle = running.handle().clone();
    for worker in 0..8 {
        handle.kill_worker("hangs", worker).unwrap();
    }
    events
        .wait_for(1, |e| matches!(e.kind, EventKind::Restarted { .. }))
        .await;
    handle.drain_within(SECOND);
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    traces.check(&report);
    let processed = traces.named("process hangs");
    assert_eq!(processed.len(), 8);
    assert!(processed.iter().all(|span| span.how == "abandoned"));
    assert_eq!(traces.named("settle abandoned").len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_be_told_shows_it_in_the_settlement() {
    let (source, _) = TestSource::new([1]).settle_fails(100).build();
    let traces = Traces::new();
    let report = Flow::from(source)
        .sink(Recorder::new().sink("kept"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    assert_eq!(traces.named("settle done")[0].how, "_OTHER");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_fails_alone_of_its_chunk_ends_with_the_kind_of_its_error() {
    let chunk = Processor::chunk("broken", |all: Vec<i32>| async move {
        let busy = |_| Err::<i32, _>(towpath::policy::HttpStatus(503));
        Ok::<_, BoxError>(all.into_iter().map(busy).collect())
    });
    let (traces, ..) = run_one(chunk).await;
    assert_eq!(traces.named("process broken")[0].how, "503");
}
