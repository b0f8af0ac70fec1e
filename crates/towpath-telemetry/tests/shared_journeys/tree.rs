//! Spans that have arrived, as trees.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;
use towpath_test_servers::SpanLine;

/// Spans of one trace or of several.
#[derive(Clone, Debug)]
pub(crate) struct Tree(Vec<SpanLine>);

impl Tree {
    pub(crate) fn new(mut spans: Vec<SpanLine>) -> Self {
        spans.sort_by_key(|span| (span.start_ns, span.end_ns));
        Self(spans)
    }

    /// In the order in which they began.
    pub(crate) fn spans(&self) -> &[SpanLine] {
        &self.0
    }

    pub(crate) fn named(&self, name: &str) -> Vec<&SpanLine> {
        let named = self.0.iter().filter(|span| span.name == name);
        named.collect()
    }

    #[track_caller]
    pub(crate) fn only(&self, name: &str) -> &SpanLine {
        let named = self.named(name);
        assert_eq!(named.len(), 1, "`{name}` of\n{self}");
        named[0]
    }

    /// The trace of the message with that identity.
    #[track_caller]
    pub(crate) fn of_message(&self, identity: &str) -> Self {
        let is_its = |span: &&SpanLine| span.attribute("messaging.message.id") == identity;
        let span = self.0.iter().find(is_its);
        self.trace(
            &span
                .unwrap_or_else(|| panic!("{identity} is not in\n{self}"))
                .trace_id,
        )
    }

    pub(crate) fn trace(&self, id: &str) -> Self {
        let spans = self.0.iter().filter(|span| span.trace_id == id);
        Self(spans.cloned().collect())
    }

    /// In the order in which they began, but for what a source received again: that is last.
    pub(crate) fn children(&self, parent: &SpanLine) -> Vec<&SpanLine> {
        let children = self.0.iter().filter(|span| {
            span.trace_id == parent.trace_id && span.parent_span_id == parent.span_id
        });
        let mut children: Vec<_> = children.collect();
        // A source is asked long before it has something.
        children.sort_by_key(|span| span.name.starts_with("poll "));
        children
    }

    /// Those whose parents are not here.
    pub(crate) fn roots(&self) -> Vec<&SpanLine> {
        let is_root = |span: &&SpanLine| self.parent(span).is_none();
        self.0.iter().filter(is_root).collect()
    }

    pub(crate) fn parent(&self, span: &SpanLine) -> Option<&SpanLine> {
        let parent = |known: &&SpanLine| {
            known.trace_id == span.trace_id && known.span_id == span.parent_span_id
        };
        self.0.iter().find(parent)
    }

    /// One trace, in which every span but the root has a parent that has arrived; that of the
    /// root is as told, empty for none.
    #[track_caller]
    pub(crate) fn assert_connected(&self, remote: &str) {
        let roots = self.roots();
        assert_eq!(roots.len(), 1, "one root of\n{self}");
        assert_eq!(roots[0].parent_span_id, remote, "\n{self}");
        let trace = &roots[0].trace_id;
        assert!(
            self.0.iter().all(|span| span.trace_id == *trace),
            "\n{self}"
        );
        let mut ids: Vec<_> = self.0.iter().map(|span| &span.span_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), self.0.len(), "each once:\n{self}");
    }

    /// No span ends before it begins, or begins before its parent; and it ends before its
    /// parent does, unless that is a receipt, or in another process.
    #[track_caller]
    pub(crate) fn assert_nested(&self) {
        for span in &self.0 {
            assert!(span.start_ns <= span.end_ns, "{span:?}");
            let Some(parent) = self.parent(span) else {
                continue;
            };
            assert!(span.start_ns >= parent.start_ns, "{span:?}\nin {parent:?}");
            let goes_on = parent.name.starts_with("poll ") || parent.service() != span.service();
            if !goes_on {
                assert!(span.end_ns <= parent.end_ns, "{span:?}\nin {parent:?}");
            }
        }
    }
}

/// A line for each span, indented below its parent: name, kind, and how it failed.
impl std::fmt::Display for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.roots()
            .iter()
            .try_for_each(|root| self.line(f, root, 0))
    }
}

impl Tree {
    /// From the top to the bottom, as it is printed.
    pub(crate) fn walk(&self) -> Vec<&SpanLine> {
        let mut walked = Vec::new();
        let mut next: Vec<_> = self.roots().into_iter().rev().collect();
        while let Some(span) = next.pop() {
            walked.push(span);
            next.extend(self.children(span).into_iter().rev());
        }
        walked
    }

    fn line(&self, f: &mut dyn Write, span: &SpanLine, depth: usize) -> std::fmt::Result {
        write!(
            f,
            "{:indent$}{} {}",
            "",
            span.name,
            span.kind,
            indent = depth * 2
        )?;
        let kind = span.attribute("error.type");
        if let Some(kind) = kind.as_str() {
            write!(f, " {} {kind}", span.status.code)?;
        }
        writeln!(f)?;
        let mut children = self.children(span).into_iter();
        children.try_for_each(|child| self.line(f, child, depth + 1))
    }
}

/// The attributes, as JSON.
pub(crate) fn attributes(span: &SpanLine) -> Value {
    let all: BTreeMap<_, _> = span.attributes.iter().collect();
    serde_json::to_value(all).unwrap()
}

/// Where a span points to.
pub(crate) fn links(span: &SpanLine) -> Vec<(&str, &str)> {
    let links = span.links.iter();
    links
        .map(|link| (&*link.trace_id, &*link.span_id))
        .collect()
}

/// Identity of a span in a trace.
pub(crate) fn id(span: &SpanLine) -> (&str, &str) {
    (&span.trace_id, &span.span_id)
}

/// The `traceparent` of what is sent in a span.
pub(crate) fn header(span: &SpanLine) -> String {
    format!("00-{}-{}-01", span.trace_id, span.span_id)
}
