//! Who looks after a pipeline sees the same figures as its handle and its report.

use tokio::time::sleep;
use towpath::{Batcher, Flow, Phase, Processor, core::Timing};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::{Watching, ms};

#[tokio::test(start_paused = true)]
async fn the_last_status_holds_the_figures_of_the_report() {
    let watching = Watching::of(Timing::Messages);
    let (source, _) = TestSource::of(0..200_u64);
    let cue = Cue::new()
        .delay_by(|n| ms(n % 7))
        .fail_when(|n| n % 10 == 0)
        .drop_when(|n| n % 10 == 1);
    let recorder = Recorder::new();
    let running = Flow::from(source)
        .process(Processor::new("works", cue.handler()).workers(2))
        .batch(Batcher::new("collect").max_messages(7))
        .sink(recorder.sink("write"))
        .named("looked after")
        .telemetry(watching.clone())
        .start()
        .await
        .unwrap();
    let pipeline = watching.pipeline();
    assert_eq!(pipeline.name().as_str(), "looked after");
    assert_eq!(pipeline.phase(), Phase::Running);
    assert_eq!(pipeline.diagram(), running.handle().topology().mermaid());
    let report = running.join().await.unwrap();
    check(&report);
    sleep(ms(1000)).await;

    let status = pipeline.status();
    assert_eq!(status.phase, Phase::Stopped);
    assert_eq!(status.elapsed, report.elapsed(), "the clock has stopped");
    let same = serde_json::to_value(report.status()).unwrap();
    assert_eq!(serde_json::to_value(&status).unwrap(), same);
    let (status, report) = (
        serde_json::to_value(&status).unwrap(),
        serde_json::to_value(&report).unwrap(),
    );
    for figures in [
        "counts",
        "bound",
        "dropped",
        "latency",
        "sources",
        "stages",
        "bottleneck",
    ] {
        assert_eq!(status[figures], report[figures], "{figures}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_left_out_or_split_are_counted() {
    let (source, _) = TestSource::of(0..10_u64);
    let recorder = Recorder::new();
    let some = |n: u64| async move { Ok::<_, towpath::BoxError>(n.is_multiple_of(2).then_some(n)) };
    let parts = |n: u64| async move {
        let count = usize::try_from(n / 2).unwrap_or(0);
        Ok::<_, towpath::BoxError>(vec![n; count])
    };
    let report = Flow::from(source)
        .process(Processor::filter_map("some", "odd", some))
        .process(Processor::flat_map("parts", parts))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();
    check(&report);
    let some = super::reported(&report, "some").counts;
    assert_eq!((some.received, some.sent, some.dropped), (10, 5, 5));
    // 0, 2, 4, 6 and 8 become 0, 1, 2, 3 and 4 parts.
    let parts = super::reported(&report, "parts").counts;
    assert_eq!((parts.received, parts.added), (5, 6));
    assert_eq!((parts.sent, parts.dropped), (10, 1));
}

#[tokio::test(start_paused = true)]
async fn a_tee_counts_messages_and_not_copies() {
    let (source, _) = TestSource::of(0..10_u64);
    let (one, other) = (Recorder::new(), Recorder::new());
    let (into_one, into_other) = (one.clone(), other.clone());
    let report = Flow::from(source)
        .tee("copy", move |copies| {
            copies
                .required("one", move |flow| flow.sink(into_one.sink("write one")))
                .required("other", move |flow| {
                    flow.sink(into_other.sink("write other"))
                })
        })
        .run()
        .await
        .unwrap();
    check(&report);
    let copy = super::reported(&report, "copy").counts;
    assert_eq!((copy.received, copy.sent), (10, 10));
    assert_eq!((one.items().len(), other.items().len()), (10, 10));
}
