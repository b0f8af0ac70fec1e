//! The OTLP receiver, asked by a client of its own kind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use towpath_test_servers::{OtlpReceiver, Pace, SpanLine, http, or_not_run, places};

use crate::PATIENCE;

/// One span, one point of each kind of metric, one log record.
fn send(protocol: &str, url: &str) {
    let python = places::OTLP_PYTHON.find().unwrap().unwrap();
    let script = ["-c", include_str!("send.py"), protocol, url];
    let status = Command::new(python).args(script).status().unwrap();
    assert!(status.success());
}

fn assert_span(span: &SpanLine) {
    assert_eq!((&*span.name, &*span.kind), ("process parse", "CONSUMER"));
    assert_eq!(span.trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(
        (&*span.span_id, &*span.parent_span_id),
        ("3132333435363738", "3837363534333231")
    );
    assert_eq!((&*span.trace_state, span.flags), ("a=b", 0x301));
    assert_eq!(span.end_ns - span.start_ns, 1);
    assert_eq!(*span.attribute("count"), 3);
    assert_eq!(*span.attribute("list"), json!([true, 0.5]));
    assert!(span.attribute("none").is_null());
    assert_eq!((span.links.len(), span.dropped_links), (1, 72));
    assert_eq!(span.links[0].span_id, span.parent_span_id);
    assert_eq!(span.links[0].attributes["at"], "7");
    assert_eq!(
        (&*span.events[0].name, span.events[0].time_ns),
        ("panic", 5)
    );
    assert_eq!(
        (&*span.status.code, &*span.status.message),
        ("ERROR", "boom")
    );
    assert_eq!((span.service(), &*span.scope), ("sender", "scope"));
}

fn receives_everything(protocol: &str, url: impl Fn(&OtlpReceiver) -> String) {
    let Some(receiver) = or_not_run(OtlpReceiver::start()) else {
        return;
    };
    send(protocol, &url(&receiver));
    let spans = receiver.spans(|spans| !spans.is_empty(), PATIENCE);
    assert_eq!(spans.len(), 1, "{}", receiver.log());
    assert_span(&spans[0]);

    let points = receiver.metrics(|points| points.len() == 3, PATIENCE);
    let [total, queue, duration] = &points[..] else {
        panic!("three points: {points:?}");
    };
    assert_eq!(
        (&*total.name, &*total.unit, &*total.kind),
        ("messages", "{message}", "sum")
    );
    assert_eq!(
        (&*total.temporality, total.is_monotonic),
        ("CUMULATIVE", true)
    );
    assert_eq!(
        (total.value, &total.attributes["stage"]),
        (Some(42.0), &json!("parse"))
    );
    assert_eq!((total.start_ns, total.time_ns), (1, 2));
    assert_eq!(
        (&*queue.kind, &*queue.temporality, queue.value),
        ("gauge", "", Some(0.5))
    );
    assert_eq!(
        (&*duration.kind, &*duration.temporality),
        ("histogram", "DELTA")
    );
    assert_eq!((duration.count, duration.sum), (3, 1.5));
    assert_eq!(
        (&*duration.bounds, &*duration.buckets),
        (&[0.5][..], &[2, 1][..])
    );

    let logs = receiver.logs(|logs| !logs.is_empty(), PATIENCE);
    assert_eq!(
        (&logs[0].body, &*logs[0].severity),
        (&json!("slow"), "WARN")
    );
    assert_eq!(
        (&logs[0].trace_id, &logs[0].span_id),
        (&spans[0].trace_id, &spans[0].span_id)
    );
    assert_eq!(logs[0].attributes["stage"], "parse");

    let requests = receiver.requests(|requests| requests.len() == 3, PATIENCE);
    assert_eq!(
        (&*requests[0].protocol, &*requests[0].path),
        (protocol, "/v1/traces")
    );
    assert!(
        requests
            .iter()
            .all(|request| request.headers["x-tenant"] == "a")
    );
}

#[test]
fn spans_metrics_and_logs_come_by_grpc() {
    receives_everything("grpc", OtlpReceiver::grpc);
}

#[test]
fn spans_metrics_and_logs_come_by_http_compressed() {
    receives_everything("http", OtlpReceiver::http);
}

#[test]
fn what_does_not_come_is_not_waited_for_longer_than_told() {
    let Some(receiver) = or_not_run(OtlpReceiver::start()) else {
        return;
    };
    let never = receiver.spans(|spans| !spans.is_empty(), Duration::from_millis(50));
    assert_eq!(never, []);
}

#[test]
fn a_request_that_is_no_otlp_is_refused() {
    let Some(receiver) = or_not_run(OtlpReceiver::start()) else {
        return;
    };
    let status = |path, kind| {
        let answer = http::post(&format!("{}{path}", receiver.http()), kind, b"{}");
        answer.unwrap().status
    };
    assert_eq!(status("/v1/traces", "application/json"), 415);
    assert_eq!(status("/v1/profiles", "application/x-protobuf"), 404);
}

#[test]
fn a_slow_receiver_has_what_it_has_not_answered_yet() {
    let slow = Pace::After(Duration::from_secs(3_600));
    let Some(mut receiver) = or_not_run(OtlpReceiver::start_at(slow)) else {
        return;
    };
    // An hour is longer than the test may take: no answer comes before the end.
    let url = format!("{}/v1/traces", receiver.http());
    let client = std::thread::spawn(move || http::post(&url, "application/x-protobuf", b""));
    let requests = receiver.requests(|requests| !requests.is_empty(), PATIENCE);
    assert_eq!(requests.len(), 1);
    receiver.stop();
    assert!(client.join().unwrap().is_err());
    assert_eq!(receiver.requests(|_| true, PATIENCE), requests);
}
