//! The example `journey` in a Jaeger: what it says is to be found there is.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; the lint knows only the functions marked as such"
)]

#[path = "journey/program.rs"]
mod program;

use std::time::Duration;

use serde_json::Value;
use towpath_test_servers::{Jaeger, or_not_run};

/// For what is certain to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of the order that is tried three times, in the order of their names.
const SPANS: [&str; 19] = [
    "ack orders",
    "attempt fetch",
    "attempt fetch",
    "attempt fetch",
    "batch rows",
    "create table",
    "look up price",
    "poll orders",
    "process fetch",
    "process parse",
    "process price",
    "queue fetch",
    "queue parse",
    "queue price",
    "queue table",
    "send table",
    "wait fetch",
    "wait fetch",
    "wait fetch",
];

fn spans(trace: &Value) -> &[Value] {
    trace["spans"].as_array().unwrap()
}

fn names(trace: &Value) -> Vec<&str> {
    let names = spans(trace)
        .iter()
        .map(|span| span["operationName"].as_str().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

fn errors(trace: &Value) -> Vec<&str> {
    let tags = spans(trace)
        .iter()
        .filter(|span| span["operationName"] == "attempt fetch")
        .flat_map(|span| span["tags"].as_array().unwrap());
    let errors = tags.filter(|tag| tag["key"] == "error.type");
    let mut errors: Vec<_> = errors.map(|tag| tag["value"].as_str().unwrap()).collect();
    errors.sort_unstable();
    errors
}

#[test]
fn the_traces_that_it_names_are_in_jaeger() {
    let Some(jaeger) = or_not_run(Jaeger::start()) else {
        return;
    };
    let (collector, pages) = (jaeger.otlp_http(), jaeger.query());
    let run = program::run(&["--otlp", &collector, "--jaeger", &pages]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let sent: usize = run.stdout.lines().find_map(spans_sent).unwrap();
    let are_all =
        |traces: &[Value]| traces.iter().map(|trace| spans(trace).len()).sum::<usize>() == sent;
    let traces = jaeger.await_traces("journey", are_all, PATIENCE).unwrap();
    assert_eq!((traces.len(), are_all(&traces)), (4, true));

    let link = run.stdout.lines().last().unwrap();
    let (page, first) = link.rsplit_once('/').unwrap();
    assert_eq!(page, format!("the journey of order-0: {pages}/trace"));
    let first = jaeger.trace(first).unwrap().unwrap();
    assert_eq!(names(&first), SPANS);
    assert_eq!(errors(&first), ["429", "timeout"]);

    let rejected = run.stdout.lines().nth(2).unwrap();
    let rejected = rejected.strip_prefix("order-2  rejected  trace ").unwrap();
    let rejected = jaeger.trace(rejected).unwrap().unwrap();
    assert_eq!(errors(&rejected), ["404"]);
    assert!(names(&rejected).contains(&"send letters"));
}

#[test]
fn the_link_is_to_the_usual_port_unless_told_otherwise() {
    let Some(jaeger) = or_not_run(Jaeger::start()) else {
        return;
    };
    let run = program::run(&["--otlp", &jaeger.otlp_http()]);
    let link = run.stdout.lines().last().unwrap();
    let usual = "the journey of order-0: http://127.0.0.1:16686/trace/";
    assert!(link.starts_with(usual), "{link}");
}

fn spans_sent(line: &str) -> Option<usize> {
    line.split_once(" spans sent to ")?.0.parse().ok()
}
