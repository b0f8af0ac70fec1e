//! What a trace becomes as rows.

use serde_json::{Value, json};

use super::*;

fn span(id: &str, name: &str, times: (u64, u64), references: &[(&str, &str, &str)]) -> Value {
    let reference = |(kind, trace, span): &(&str, &str, &str)| json!({"refType": kind, "traceID": trace, "spanID": span});
    let references: Vec<_> = references.iter().map(reference).collect();
    json!({
        "traceID": "t1", "spanID": id, "operationName": name, "processID": "p1",
        "startTime": times.0, "duration": times.1, "references": references, "tags": [],
    })
}

fn tagged(mut span: Value, tags: &[(&str, Value)]) -> Value {
    let tags = tags
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}));
    span["tags"] = tags.collect();
    span
}

/// Spans come in any order.
fn journey() -> Value {
    let of = |parent| ("CHILD_OF", "t1", parent);
    let tried = span("c", "attempt fetch", (1_010, 40), &[of("b")]);
    let failed = [
        ("error", json!(true)),
        ("error.type", json!("timeout")),
        ("towpath.attempt", json!(1)),
    ];
    let root = span("a", "poll orders", (1_000, 5), &[]);
    let batch = span(
        "d",
        "batch rows",
        (1_060, 30),
        &[("FOLLOWS_FROM", "t1", "a"), ("FOLLOWS_FROM", "t2", "z")],
    );
    json!({
        "traceID": "t1",
        "processes": {"p1": {"serviceName": "shop"}},
        "spans": [
            span("e", "create table", (1_070, 20), &[of("a"), ("FOLLOWS_FROM", "t1", "d")]),
            tagged(batch, &[("messaging.batch.message_count", json!(2)), ("towpath.batch.trigger", json!("count"))]),
            tagged(tried, &failed),
            span("b", "process fetch", (1_010, 50), &[of("a")]),
            tagged(root, &[("messaging.message.id", json!("order-0"))]),
        ],
    })
}

fn other() -> Value {
    let root = span("z", "poll orders", (900, 5), &[]);
    json!({
        "traceID": "t2",
        "processes": {"p1": {"serviceName": "shop"}},
        "spans": [tagged(root, &[("messaging.message.id", json!("order-1"))])],
    })
}

#[test]
fn each_span_is_behind_its_parent_and_siblings_are_in_the_order_of_their_times() {
    let trace = Trace::find(&[other(), journey()], "t1").unwrap();
    let rows = trace.rows.iter().map(|row| (row.depth, &*row.name));
    let expected = [
        (0, "poll orders"),
        (1, "process fetch"),
        (2, "attempt fetch"),
        (1, "batch rows"),
        (1, "create table"),
    ];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
    assert_eq!((&*trace.title, trace.length()), ("order-0", 90));
    assert_eq!((trace.rows[2].start, trace.rows[2].duration), (10, 40));
}

#[test]
fn a_row_says_what_one_looks_for() {
    let trace = Trace::find(&[other(), journey()], "t1").unwrap();
    let details: Vec<_> = trace.rows.iter().map(|row| &*row.detail).collect();
    let batch = "2 messages, closed by count, links to order-1";
    assert_eq!(details, ["", "", "no. 1, timeout", batch, ""]);
    let failed = trace.rows.iter().filter(|row| row.failed);
    assert_eq!(
        failed.map(|row| &*row.name).collect::<Vec<_>>(),
        ["attempt fetch"]
    );
    assert_eq!(
        (&*trace.rows[4].links, &*trace.rows[3].links),
        (&[3][..], &[][..])
    );
}

#[test]
fn a_span_whose_parent_is_elsewhere_is_a_root_and_a_circle_ends() {
    let lost = span("a", "poll", (0, 1), &[("CHILD_OF", "t1", "gone")]);
    let trace = Trace::read(&json!({"traceID": "t1", "spans": [lost]})).unwrap();
    assert_eq!((trace.rows.len(), trace.rows[0].depth), (1, 0));
    let own = span("a", "poll", (0, 1), &[("CHILD_OF", "t1", "a")]);
    assert_eq!(Trace::read(&json!({"traceID": "t1", "spans": [own]})), None);
    assert_eq!(Trace::read(&json!({})), None);
}

#[test]
fn spans_are_counted_over_all_traces() {
    assert_eq!(spans_of(&[journey(), other()]), 6);
}
