//! Jaeger, told of spans as JSON.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::json;
use towpath_test_servers::{Jaeger, http, or_not_run};

use crate::PATIENCE;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// One trace of two spans of this service.
fn send(jaeger: &Jaeger, service: &str) {
    let span = |id, parent, name| {
        json!({
            "traceId": TRACE, "spanId": id, "parentSpanId": parent, "name": name, "kind": 5,
            "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000000001000",
        })
    };
    let service = json!({"key": "service.name", "value": {"stringValue": service}});
    let spans = [
        span("00f067aa0ba902b7", "", "poll orders"),
        span("b7ad6b7169203331", "00f067aa0ba902b7", "process parse"),
    ];
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": [service]},
        "scopeSpans": [{"spans": spans}],
    }]});
    let url = format!("{}/v1/traces", jaeger.otlp_http());
    let answer = http::post(&url, "application/json", request.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_trace_is_asked_back() {
    let Some(jaeger) = or_not_run(Jaeger::start()) else {
        return;
    };
    send(&jaeger, "towpath test");
    let has_come = |traces: &[_]| !traces.is_empty();
    let traces = jaeger
        .await_traces("towpath test", has_come, PATIENCE)
        .unwrap();
    assert_eq!(traces.len(), 1);
    let trace = jaeger.trace(TRACE).unwrap().unwrap();
    assert_eq!(trace["traceID"], TRACE);
    let spans = trace["spans"].as_array().unwrap();
    let child = spans
        .iter()
        .find(|span| span["spanID"] == "b7ad6b7169203331")
        .unwrap();
    assert_eq!(child["operationName"], "process parse");
    assert_eq!(child["references"][0]["spanID"], "00f067aa0ba902b7");
    // It does not trace itself.
    assert_eq!(jaeger.services().unwrap(), ["towpath test"]);
    assert!(jaeger.otlp_grpc().starts_with("http://127.0.0.1:"));
}

#[test]
fn an_unknown_trace_is_none_and_an_unknown_service_has_none() {
    let Some(jaeger) = or_not_run(Jaeger::start()) else {
        return;
    };
    assert_eq!(jaeger.trace(TRACE).unwrap(), None);
    assert_eq!(jaeger.traces("nobody", 20).unwrap(), [json!(null); 0]);
}

#[test]
fn several_run_side_by_side_and_know_nothing_of_each_other() {
    let (Some(one), Some(other)) = (or_not_run(Jaeger::start()), or_not_run(Jaeger::start()))
    else {
        return;
    };
    send(&one, "one");
    let has_come = |traces: &[_]| !traces.is_empty();
    assert_eq!(
        one.await_traces("one", has_come, PATIENCE).unwrap().len(),
        1
    );
    assert_eq!(other.services().unwrap(), [""; 0]);
}

#[test]
fn it_is_gone_when_it_is_dropped() {
    let Some(jaeger) = or_not_run(Jaeger::start()) else {
        return;
    };
    let url = jaeger.query();
    assert!(http::get(&url).is_ok());
    drop(jaeger);
    assert!(http::get(&url).is_err());
}
