//! Collectors that do not do their part, and pipelines that do not notice.

use std::{net::TcpListener, time::Duration};

use tokio::time::Instant;
use towpath::prelude::*;
use towpath_telemetry::otlp::{Otlp, Protocol};
use towpath_test_servers::{OtlpReceiver, Pace, or_not_run};

use crate::{arrived, feed::Feed, receiver, run, setup, topic::Topic, towards};

/// Enough spans to fill any queue several times over.
const MESSAGES: u64 = 10_000;

/// How long the last spans may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// What scheduling on a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(3);

fn pipeline(name: &str, topic: &Topic) -> Pipeline {
    let passes = |name| Processor::new(name, |n: u64| async move { Ok::<_, BoxError>(n) });
    Flow::from(Source::new("orders", Feed::new(MESSAGES)))
        .process(passes("parse"))
        .process(passes("enrich").timeout(Duration::from_secs(60)))
        .batch(Batcher::new("rows").max_messages(100))
        .sink(SinkStage::of("table", topic.clone()))
        .named(name)
}

/// How long the pipeline has taken; all spans have been sent, or are counted as lost.
fn runs_through(name: &str, otlp: Otlp) -> Duration {
    let topic = Topic::default();
    let began = Instant::now();
    let report = run(&otlp, pipeline(name, &topic));
    let took = began.elapsed();
    assert_eq!(report.counts.done, MESSAGES);
    assert_eq!(topic.sent().len() as u64, MESSAGES);
    let began = Instant::now();
    let end = otlp.shutdown_blocking(DEADLINE);
    assert!(began.elapsed() < DEADLINE + SLACK, "{:?}", began.elapsed());
    assert_eq!(end.spans.emitted, end.spans.sent + end.spans.lost(), "{end:?}");
    assert!(end.spans.emitted > 8 * MESSAGES, "{end:?}");
    println!("{name}: {took:?}, {:?}", end.spans);
    took
}
