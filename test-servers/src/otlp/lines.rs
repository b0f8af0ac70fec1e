//! What the OTLP receiver prints, one line each.

use std::collections::BTreeMap;

use serde_json::Value;

/// Values by their keys: text, numbers, truth values, lists, maps; bytes as hex.
pub type Attributes = BTreeMap<String, Value>;

/// A span as it came over the wire. Ids are in hex, and empty where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanLine {
    /// What it is called.
    pub name: String,
    /// `CLIENT`, `CONSUMER`..
    pub kind: String,
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
    /// Empty for the root of a trace.
    pub parent_span_id: String,
    /// The `tracestate` that came with it.
    pub trace_state: String,
    /// The lowest bit: sampled; bit 8: the next one is known; bit 9: the parent is remote.
    pub flags: u64,
    /// Nanoseconds since 1970.
    pub start_ns: u64,
    /// Nanoseconds since 1970.
    pub end_ns: u64,
    /// Of the span itself.
    pub attributes: Attributes,
    /// To other spans.
    pub links: Vec<LinkLine>,
    /// How many links more there were.
    pub dropped_links: u64,
    /// In the order of their times.
    pub events: Vec<EventLine>,
    /// How it ended.
    pub status: StatusLine,
    /// Of the service that sent it.
    pub resource: Attributes,
    /// The name of the instrumentation scope.
    pub scope: String,
}

/// A link of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkLine {
    /// 32 digits.
    pub trace_id: String,
    /// 16 digits.
    pub span_id: String,
    /// The `tracestate` of the other one.
    pub trace_state: String,
    /// Of the link itself.
    pub attributes: Attributes,
}

/// An event of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct EventLine {
    /// What it is called.
    pub name: String,
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// Of the event itself.
    pub attributes: Attributes,
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusLine {
    /// `UNSET`, `OK` or `ERROR`.
    pub code: String,
    /// What went wrong.
    pub message: String,
}

/// One point of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricLine {
    /// What the metric is called.
    pub name: String,
    /// What it says.
    pub description: String,
    /// `s`, `{message}`..
    pub unit: String,
    /// `gauge`, `sum`, `histogram`, `exponential_histogram` or `summary`.
    pub kind: String,
    /// `CUMULATIVE` or `DELTA`; empty for a gauge.
    pub temporality: String,
    /// Of a sum that never falls.
    pub is_monotonic: bool,
    /// Of the point.
    pub attributes: Attributes,
    /// Nanoseconds since 1970.
    pub start_ns: u64,
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// Of a gauge or a sum.
    pub value: Option<f64>,
    /// How many values a histogram has seen.
    pub count: u64,
    /// Of the values that a histogram has seen.
    pub sum: f64,
    /// The upper bounds of a histogram's buckets; the last bucket has none.
    pub bounds: Vec<f64>,
    /// The values in each bucket.
    pub buckets: Vec<u64>,
    /// Of the service that sent it.
    pub resource: Attributes,
    /// The name of the instrumentation scope.
    pub scope: String,
}

/// One record of a log. Ids are in hex, and empty where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// What it says, mostly text.
    pub body: Value,
    /// `INFO`..
    pub severity: String,
    /// 9 for `INFO`..
    pub severity_number: u64,
    /// The name of the event, if it is one.
    pub event: String,
    /// Of the span in which it was written.
    pub trace_id: String,
    /// Of the span in which it was written.
    pub span_id: String,
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// Of the record.
    pub attributes: Attributes,
    /// Of the service that sent it.
    pub resource: Attributes,
    /// The name of the instrumentation scope.
    pub scope: String,
}

/// One request that brought some of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestLine {
    /// `grpc` or `http`.
    pub protocol: String,
    /// `/v1/traces`, `/v1/metrics` or `/v1/logs`, also by gRPC.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: Attributes,
}

// === impl SpanLine ===

impl SpanLine {
    pub(super) fn read(line: &Value) -> Self {
        Self {
            name: text(line, "name"),
            kind: text(line, "kind"),
            trace_id: text(line, "traceId"),
            span_id: text(line, "spanId"),
            parent_span_id: text(line, "parentSpanId"),
            trace_state: text(line, "traceState"),
            flags: number(line, "flags"),
            start_ns: number(line, "startNs"),
            end_ns: number(line, "endNs"),
            attributes: attributes(line, "attributes"),
            links: list(line, "links", LinkLine::read),
            dropped_links: number(line, "droppedLinks"),
            events: list(line, "events", EventLine::read),
            status: StatusLine {
                code: text(&line["status"], "code"),
                message: text(&line["status"], "message"),
            },
            resource: attributes(line, "resource"),
            scope: text(line, "scope"),
        }
    }

    /// The value of an attribute, `Null` where it has none of this key.
    #[must_use]
    pub fn attribute(&self, key: &str) -> &Value {
        self.attributes.get(key).unwrap_or(&Value::Null)
    }

    /// The `service.name` of whoever sent it; empty without one.
    #[must_use]
    pub fn service(&self) -> &str {
        let name = self.resource.get("service.name").and_then(Value::as_str);
        name.unwrap_or_default()
    }
}

// === impl LinkLine ===

impl LinkLine {
    fn read(line: &Value) -> Self {
        Self {
            trace_id: text(line, "traceId"),
            span_id: text(line, "spanId"),
            trace_state: text(line, "traceState"),
            attributes: attributes(line, "attributes"),
        }
    }
}

// === impl EventLine ===

impl EventLine {
    fn read(line: &Value) -> Self {
        Self {
            name: text(line, "name"),
            time_ns: number(line, "timeNs"),
            attributes: attributes(line, "attributes"),
        }
    }
}

// === impl MetricLine ===

impl MetricLine {
    pub(super) fn read(line: &Value) -> Self {
        Self {
            name: text(line, "name"),
            description: text(line, "description"),
            unit: text(line, "unit"),
            kind: text(line, "type"),
            temporality: text(line, "temporality"),
            is_monotonic: line["monotonic"] == true,
            attributes: attributes(line, "attributes"),
            start_ns: number(line, "startNs"),
            time_ns: number(line, "timeNs"),
            value: line["value"].as_f64(),
            count: number(line, "count"),
            sum: line["sum"].as_f64().unwrap_or_default(),
            bounds: list(line, "bounds", |bound| bound.as_f64().unwrap_or(f64::NAN)),
            buckets: list(line, "buckets", |count| count.as_u64().unwrap_or_default()),
            resource: attributes(line, "resource"),
            scope: text(line, "scope"),
        }
    }
}

// === impl LogLine ===

impl LogLine {
    pub(super) fn read(line: &Value) -> Self {
        Self {
            body: line["body"].clone(),
            severity: text(line, "severity"),
            severity_number: number(line, "severityNumber"),
            event: text(line, "event"),
            trace_id: text(line, "traceId"),
            span_id: text(line, "spanId"),
            time_ns: number(line, "timeNs"),
            attributes: attributes(line, "attributes"),
            resource: attributes(line, "resource"),
            scope: text(line, "scope"),
        }
    }
}

// === impl RequestLine ===

impl RequestLine {
    pub(super) fn read(line: &Value) -> Self {
        Self {
            protocol: text(line, "protocol"),
            path: text(line, "path"),
            headers: attributes(line, "headers"),
        }
    }
}

fn text(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or_default().to_owned()
}

fn number(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or_default()
}

fn attributes(line: &Value, field: &str) -> Attributes {
    let pairs = line[field].as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn list<T>(line: &Value, field: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
    let items = line[field].as_array().into_iter().flatten();
    items.map(read).collect()
}
