//! The same journey, asked back from a Jaeger.

use std::collections::BTreeMap;

use serde_json::Value;
use towpath_telemetry::otlp::Protocol;
use towpath_test_servers::{Jaeger, LinkLine, SpanLine, StatusLine, or_not_run};

use crate::{
    PATIENCE, run, sent,
    topic::Topic,
    towards,
    tree::{Tree, id, links},
    whole::{FIRST, SENDER, TRIED, expected, feed, pipeline, said},
};

const SERVICE: &str = "orders-service";

/// What Jaeger adds to the attributes, or makes of other fields.
const ADDED: [&str; 5] = [
    "span.kind",
    "error",
    "otel.status_code",
    "otel.status_description",
    "otel.scope.version",
];

#[test]
fn a_journey_is_found_in_jaeger_as_it_was() {
    let Some(jaeger) = or_not_run(Jaeger::start()) else {
        return;
    };
    for (protocol, endpoint) in [
        (Protocol::Grpc, jaeger.otlp_grpc()),
        (Protocol::Http, jaeger.otlp_http()),
    ] {
        let service = format!("{SERVICE} {protocol:?}");
        let otlp = towards(&service, endpoint)
            .protocol(protocol)
            .start()
            .unwrap();
        let name = format!("orders in Jaeger {protocol:?}");
        run(&otlp, pipeline(&name, feed(), &Topic::default()));
        let all = found(&jaeger, &service, sent(otlp));
        is_as_it_was(&all, &name);
    }
}

/// All spans of a service, once there are so many.
fn found(jaeger: &Jaeger, service: &str, sent: u64) -> Tree {
    let is_all = |traces: &[Value]| spans(traces, service).len() as u64 >= sent;
    let traces = jaeger.await_traces(service, is_all, PATIENCE).unwrap();
    let spans = spans(&traces, service);
    assert_eq!(spans.len() as u64, sent);
    Tree::new(spans)
}

/// A trace may have spans of other services, too.
fn spans(traces: &[Value], service: &str) -> Vec<SpanLine> {
    let of = |trace: &Value| {
        let services = trace["processes"].clone();
        let spans = trace["spans"].as_array().cloned().unwrap_or_default();
        spans.into_iter().map(move |span| read(&span, &services))
    };
    let all = traces.iter().flat_map(of);
    all.filter(|span| span.service() == service).collect()
}

fn is_as_it_was(all: &Tree, pipeline: &str) {
    assert_eq!(all.roots().len(), 4, "{all}");
    let tried = all.of_message("order-0");
    assert_eq!(lines(&tried.to_string()), lines(TRIED));
    tried.assert_connected("");
    let mut said: Vec<_> = tried.walk().into_iter().map(said).collect();
    let mut expected = expected(pipeline);
    said.sort_by_key(Value::to_string);
    expected.sort_by_key(Value::to_string);
    assert_eq!(said, expected);
    let first = all.of_message("order-1");
    assert_eq!(lines(&first.to_string()), lines(FIRST));
    first.assert_connected(SENDER);

    let batch = all.only("batch rows");
    let mut members = links(batch);
    let mut roots: Vec<_> = all.named("poll orders").into_iter().map(id).collect();
    members.sort_unstable();
    roots.sort_unstable();
    assert_eq!(members, roots);
    let created = all.named("create table");
    assert!(created.iter().all(|create| links(create) == [id(batch)]));
    let failed = tried.named("attempt fetch")[0];
    assert_eq!(failed.status.message, "the attempt took longer than 200ms");
}

/// Its times are in microseconds: what follows at once may seem to be at the same time.
fn lines(tree: &str) -> Vec<&str> {
    let mut lines: Vec<_> = tree.lines().collect();
    lines.sort_unstable();
    lines
}

/// A span as Jaeger tells of it.
fn read(span: &Value, services: &Value) -> SpanLine {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tags: BTreeMap<_, _> = pairs(&span["tags"]);
    let tag = |name: &str| tags.get(name).map(text).unwrap_or_default();
    let service = &services[span["processID"].as_str().unwrap()];
    let micros = |name: &str| span[name].as_u64().unwrap();
    let (parent, links) = references(span);
    let code = tag("otel.status_code");
    SpanLine {
        name: text(&span["operationName"]),
        kind: tag("span.kind").to_uppercase(),
        trace_id: text(&span["traceID"]),
        span_id: text(&span["spanID"]),
        parent_span_id: parent.map(|parent| parent.span_id).unwrap_or_default(),
        trace_state: tag("w3c.tracestate"),
        flags: 0,
        start_ns: micros("startTime") * 1_000,
        end_ns: (micros("startTime") + micros("duration")) * 1_000,
        links,
        dropped_links: 0,
        events: Vec::new(),
        status: StatusLine {
            code: if code.is_empty() {
                "UNSET".to_owned()
            } else {
                code
            },
            message: tag("otel.status_description"),
        },
        resource: [("service.name".to_owned(), service["serviceName"].clone())].into(),
        scope: tag("otel.scope.name"),
        attributes: tags
            .into_iter()
            .filter(|(name, _)| !is_added(name))
            .collect(),
    }
}

fn is_added(name: &str) -> bool {
    ADDED.contains(&name) || name == "otel.scope.name" || name == "w3c.tracestate"
}

fn pairs(tags: &Value) -> BTreeMap<String, Value> {
    let tags = tags.as_array().into_iter().flatten();
    tags.map(|tag| {
        (
            tag["key"].as_str().unwrap().to_owned(),
            tag["value"].clone(),
        )
    })
    .collect()
}

/// The parent, and the links. Where a span points to its own parent, Jaeger keeps but one of
/// the two; the first reference is what its pages take for the parent.
fn references(span: &Value) -> (Option<LinkLine>, Vec<LinkLine>) {
    let references = span["references"].as_array().into_iter().flatten();
    let read = |to: &Value| LinkLine {
        trace_id: to["traceID"].as_str().unwrap().to_owned(),
        span_id: to["spanID"].as_str().unwrap().to_owned(),
        trace_state: String::new(),
        attributes: BTreeMap::new(),
    };
    let links = references
        .clone()
        .filter(|to| to["refType"] == "FOLLOWS_FROM");
    let parent = references.clone().next().map(read);
    (parent, links.map(read).collect())
}
