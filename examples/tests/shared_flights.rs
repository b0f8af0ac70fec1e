//! The example `flights` in a Jaeger: what a newcomer finds there.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; the lint knows only the functions marked as such"
)]

#[path = "flights/program.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod program;

use std::collections::BTreeSet;
use std::time::Duration;

use program::Program;
use serde_json::Value;
use towpath_test_servers::{Jaeger, or_not_run};

/// For what is certain to come.
const PATIENCE: Duration = Duration::from_secs(30);

const ROWS: usize = 500;

/// Some rows are late, and some are rejected.
const SPANS: [&str; 16] = [
    "ack rows",
    "batch by origin",
    "batch late by origin",
    "create dead letters",
    "create flights",
    "create late_flights",
    "poll rows",
    "process enrich",
    "queue dead letters",
    "queue enrich",
    "queue flights",
    "queue late_flights",
    "reject rows",
    "send dead letters",
    "send flights",
    "send late_flights",
];

/// The traces of a run, once there are so many, and all are whole.
fn traces(jaeger: &Jaeger, part: &str, least: usize) -> Vec<Value> {
    let program = Program::new();
    let input = program.input(&program::some_rows(ROWS));
    let endpoint = jaeger.otlp_http();
    let run = program.run(
        &[
            ["--otlp", &endpoint],
            ["--traced", part],
            ["--input", &input],
            ["--latency", "0"],
            ["--batch-size", "50"],
            ["--report", "json"],
        ]
        .concat(),
    );
    assert_eq!(run.status, 0, "{}", run.stderr);
    program.holds_exactly(&run.summary());
    let are_all = |traces: &[Value]| traces.len() >= least && traces.iter().all(is_whole);
    let traces = jaeger.await_traces("flights", are_all, PATIENCE).unwrap();
    assert!(are_all(&traces), "{} traces", traces.len());
    traces
}

/// From one receipt to one settlement, and each span below another one of the trace.
fn is_whole(trace: &Value) -> bool {
    let settled = names(trace).filter(|name| ["ack rows", "reject rows"].contains(name));
    let is_below = |span: &Value| {
        let parent = &span["references"][0]["spanID"];
        spans(trace).iter().any(|other| other["spanID"] == *parent)
    };
    let tops: Vec<_> = spans(trace).iter().filter(|span| !is_below(span)).collect();
    settled.count() == 1 && tops.len() == 1 && tops[0]["operationName"] == "poll rows"
}

fn spans(trace: &Value) -> &[Value] {
    trace["spans"].as_array().unwrap()
}

fn names(trace: &Value) -> impl Iterator<Item = &str> {
    let names = spans(trace)
        .iter()
        .map(|span| span["operationName"].as_str());
    names.map(Option::unwrap)
}

#[test]
fn a_traced_run_shows_all_its_stages_in_jaeger() {
    let Some(jaeger) = or_not_run(Jaeger::start()) else {
        return;
    };
    let traces = traces(&jaeger, "1", ROWS);
    assert_eq!(traces.len(), ROWS);
    let found: BTreeSet<_> = traces.iter().flat_map(names).collect();
    assert_eq!(found, SPANS.into());
    let services = traces
        .iter()
        .map(|trace| &trace["processes"]["p1"]["serviceName"]);
    assert!(services.into_iter().all(|name| name == "flights"));
}

#[test]
fn a_part_of_the_flights_is_traced_where_a_part_is_wanted() {
    let Some(jaeger) = or_not_run(Jaeger::start()) else {
        return;
    };
    // By chance: 100, give or take nine.
    let traces = traces(&jaeger, "0.2", ROWS / 10);
    assert!(traces.len() < 3 * ROWS / 10, "{}", traces.len());
}
