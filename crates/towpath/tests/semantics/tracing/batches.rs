//! A batch is in the trace of its first traced member, and points to all.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_batch_points_to_all_its_members_and_each_member_to_the_batch() {
    let (source, _) = TestSource::of(0..5);
    let traces = Traces::new();
    let report = Flow::from(source)
        .batch(Batcher::new("five").max_messages(5))
        .sink(Recorder::new().sink("table"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    let batch = traces.named("batch five 5").pop().unwrap();
    let roots: Vec<_> = traces
        .named("poll source")
        .iter()
        .map(|root| root.id)
        .collect();
    assert_eq!(batch.links, roots);
    assert_eq!(batch.parent, Some(roots[0]));
    let created = traces.named("create table");
    assert_eq!(created.len(), 5);
    assert!(created.iter().all(|create| create.links == [batch.id]));
    let parents: Vec<_> = created.iter().filter_map(|create| create.parent).collect();
    assert_eq!(parents, roots, "each in its own trace");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_the_sink_refuses_ends_so_and_the_others_well() {
    let (source, _) = TestSource::of(0..3);
    let traces = Traces::new();
    let report = Flow::from(source)
        .batch(Batcher::new("three").max_messages(3))
        .sink(Recorder::new().fail_when(|n: &i32| *n == 1).sink("table"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    let created = traces.named("create table");
    let how: Vec<_> = created.iter().map(|span| span.how.as_str()).collect();
    assert_eq!(how, ["done", "_OTHER", "done"]);
    assert_eq!(traces.named("send table 3")[0].how, "done");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_panics_in_the_sink_ends_so_with_all_its_members() {
    let (source, _) = TestSource::of(0..2);
    let traces = Traces::new();
    let report = Flow::from(source)
        .batch(Batcher::new("two").max_messages(2))
        .sink(Recorder::new().panic_on_batch(0).sink("table"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    for name in ["batch two 2", "send table 2", "create table"] {
        let spans = traces.named(name);
        assert!(spans.iter().all(|span| span.how == "panic"), "{name}");
        assert!(!spans.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_for_its_sink_is_there_since_it_was_opened() {
    let (source, _) = TestSource::of(0..4);
    let traces = Traces::new();
    let report = Flow::from(source)
        .batch(Batcher::new("two").max_messages(2))
        .sink(Recorder::new().delay(SECOND).sink("table"))
        .telemetry(traces.clone())
        .run()
        .await
        .unwrap();
    traces.check(&report);
    let batches = traces.named("batch two 2");
    let times: Vec<_> = batches.iter().map(|b| (b.start, b.end.unwrap())).collect();
    assert_eq!(
        times,
        [(Duration::ZERO, SECOND), (Duration::ZERO, 2 * SECOND)]
    );
    let sent = traces.named("send table 2");
    assert_eq!(sent[1].start, SECOND);
}
