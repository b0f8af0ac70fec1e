//! A pipeline from its start to its end, as probes and the log of events see it.
#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use serde_json::Value;
use tower::Service;
use towpath::{Flow, Processor};
use towpath_telemetry::{
    Monitor,
    events::{EventFiles, EventLog, Query, read},
    health::{Checks, router},
};
use towpath_test::{Cue, TestSource};

async fn ask(router: &Router, path: &str) -> (u16, Value) {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = router.clone().call(request).await.unwrap();
    let code = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (code, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn its_whole_life_is_seen_and_logged() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::new()
        .durable(EventFiles::new(dir.path()))
        .unwrap();
    let monitor = Monitor::new().logged_to(log.clone());
    let router = router(monitor.clone(), Checks::new());
    let word = async || ask(&router, "/readyz").await.1["status"].clone();
    assert_eq!(word().await, "not_ready");

    let (source, outcomes) = TestSource::new(0..100).endless().build();
    let cue = Cue::new().delay(Duration::from_secs(1));
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()))
        .acknowledge()
        .named("orders")
        .telemetry(monitor);
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for(10).await;
    assert_eq!(word().await, "ready");
    running.handle().pause();
    assert_eq!(word().await, "degraded");
    running.handle().resume();
    outcomes.wait_for(100).await;
    running.handle().drain();
    assert_eq!(word().await, "not_ready");
    running.join().await.unwrap();

    let (code, status) = ask(&router, "/status/orders").await;
    let done = status["counts"]["done"].as_u64();
    assert_eq!(
        (code, &status["phase"], done),
        (200, &"stopped".into(), Some(100))
    );
    let records = log.query(&Query::new().pipeline("orders").stage("orders"));
    let kinds: Vec<_> = records.iter().map(|record| record.kind.word()).collect();
    assert_eq!(
        kinds,
        ["started", "paused", "resumed", "draining", "stopped"]
    );
    assert!(records.is_sorted_by_key(|record| record.since_start));
    assert!(log.flush(Duration::from_secs(20)));
    assert_eq!(read(dir.path()).unwrap().count() as u64, log.last());
}
