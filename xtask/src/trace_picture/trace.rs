//! A trace as Jaeger's API has it, as rows in the order in which they are drawn.

use std::collections::BTreeMap;

use serde_json::Value;

use super::detail::detail;

/// A trace, as rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trace {
    /// The message, or the service.
    pub(super) title: String,
    /// From the top to the bottom: each span behind its parent.
    pub(super) rows: Vec<Row>,
}

/// One span.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    /// How many spans it is below the root.
    pub(super) depth: usize,
    /// Since the trace began, in microseconds.
    pub(super) start: u64,
    pub(super) duration: u64,
    /// What else there is to say in a few words.
    pub(super) detail: String,
    /// Its status is an error.
    pub(super) failed: bool,
    /// Rows of this trace that it links to.
    pub(super) links: Vec<usize>,
}

/// A span, and the identity of the one that it hangs on.
#[derive(Debug, Clone, Copy)]
struct Span<'a> {
    value: &'a Value,
    id: &'a str,
    parent: Option<&'a str>,
}

/// How many spans these traces have.
pub(super) fn spans_of(traces: &[Value]) -> usize {
    traces.iter().map(|trace| spans(trace).len()).sum()
}

fn spans(trace: &Value) -> &[Value] {
    trace["spans"].as_array().map_or(&[], Vec::as_slice)
}

// === impl Trace ===

impl Trace {
    /// One of these traces, by its id; the others say what it links to.
    pub(super) fn find(traces: &[Value], id: &str) -> Option<Self> {
        let is_it = |trace: &&Value| trace["traceID"].as_str() == Some(id);
        let trace = traces.iter().find(is_it)?;
        Self::of(trace, &titles(traces))
    }

    /// A trace by itself; `None` where it has no spans.
    pub(super) fn read(trace: &Value) -> Option<Self> {
        Self::of(trace, &BTreeMap::new())
    }

    fn of(trace: &Value, others: &BTreeMap<&str, String>) -> Option<Self> {
        let ordered = in_order(trace);
        let (root, _) = ordered.first()?;
        let starts = ordered
            .iter()
            .map(|(span, _)| number(span.value, "startTime"));
        let began = starts.min()?;
        let row = |(span, depth): &(Span<'_>, usize)| Row {
            name: text(span.value, "operationName").to_owned(),
            depth: *depth,
            start: number(span.value, "startTime") - began,
            duration: number(span.value, "duration"),
            detail: detail(span.value, &elsewhere(span.value, others)),
            failed: tag(span.value, "error").is_some_and(|error| error == true),
            links: links(span.value, &ordered),
        };
        Some(Self {
            title: title(trace, root.value),
            rows: ordered.iter().map(row).collect(),
        })
    }

    /// When the last span ended, in microseconds.
    pub(super) fn length(&self) -> u64 {
        let ends = self.rows.iter().map(|row| row.start + row.duration);
        ends.max().unwrap_or_default()
    }
}

/// Each span with its depth, behind its parent, siblings by their times.
fn in_order(trace: &Value) -> Vec<(Span<'_>, usize)> {
    let mut spans: Vec<Span<'_>> = spans(trace).iter().map(Span::of).collect();
    spans.sort_by_key(|span| {
        let (start, duration) = (
            number(span.value, "startTime"),
            number(span.value, "duration"),
        );
        (
            start,
            start + duration,
            text(span.value, "operationName"),
            span.id,
        )
    });
    let is_here = |id: &str| spans.iter().any(|span| span.id == id);
    let is_root = |span: &&Span<'_>| !span.parent.is_some_and(is_here);
    let mut ordered = Vec::new();
    let mut open: Vec<_> = spans
        .iter()
        .filter(is_root)
        .rev()
        .map(|span| (*span, 0))
        .collect();
    while let Some((span, depth)) = open.pop() {
        // A span that is its own ancestor would never end.
        if ordered.len() == spans.len() {
            break;
        }
        ordered.push((span, depth));
        let children = spans.iter().filter(|child| child.parent == Some(span.id));
        open.extend(children.rev().map(|child| (*child, depth + 1)));
    }
    ordered
}

/// What each trace is about, by its id.
fn titles(traces: &[Value]) -> BTreeMap<&str, String> {
    let title = |trace| {
        Some((
            text(trace, "traceID"),
            title(trace, in_order(trace).first()?.0.value),
        ))
    };
    traces.iter().filter_map(title).collect()
}

fn title(trace: &Value, root: &Value) -> String {
    let message = tag(root, "messaging.message.id").and_then(Value::as_str);
    let process = text(root, "processID");
    let service = || text(&trace["processes"][process], "serviceName");
    message.unwrap_or_else(service).to_owned()
}

/// The value of an attribute.
pub(super) fn tag<'a>(span: &'a Value, key: &str) -> Option<&'a Value> {
    let mut tags = span["tags"].as_array()?.iter();
    Some(&tags.find(|tag| tag["key"].as_str() == Some(key))?["value"])
}

/// The references of a span but that to its parent, which comes first where there are several:
/// where a span links to its parent, too, Jaeger has the link alone.
fn linked(span: &Value) -> impl Iterator<Item = &Value> {
    let parent = parent(span);
    references(span).filter(move |reference| Some(text(reference, "spanID")) != parent)
}

fn parent(span: &Value) -> Option<&str> {
    let own = text(span, "traceID");
    let child_of = |reference: &&Value| reference["refType"].as_str() == Some("CHILD_OF");
    let of_trace = |reference: &&Value| text(reference, "traceID") == own;
    let parent = references(span).find(child_of);
    let parent = parent.or_else(|| references(span).next().filter(of_trace));
    Some(text(parent?, "spanID"))
}

fn references(span: &Value) -> impl Iterator<Item = &Value> {
    span["references"].as_array().into_iter().flatten()
}

fn links(span: &Value, ordered: &[(Span<'_>, usize)]) -> Vec<usize> {
    let place = |reference| {
        let id = text(reference, "spanID");
        ordered.iter().position(|(span, _)| span.id == id)
    };
    linked(span).filter_map(place).collect()
}

/// The other traces that it links to, by what they are about.
fn elsewhere(span: &Value, others: &BTreeMap<&str, String>) -> Vec<String> {
    let own = text(span, "traceID");
    let traces = linked(span).map(|reference| text(reference, "traceID"));
    let mut titles: Vec<_> = traces
        .filter(|trace| *trace != own)
        .filter_map(|trace| others.get(trace).cloned())
        .collect();
    titles.sort();
    titles
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

// === impl Span ===

impl<'a> Span<'a> {
    fn of(value: &'a Value) -> Self {
        Self {
            value,
            id: text(value, "spanID"),
            parent: parent(value),
        }
    }
}

#[cfg(test)]
mod tests;
