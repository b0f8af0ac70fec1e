//! Spans and logs of one's own join the traces.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::{
    Context,
    trace::{Span, TraceContextExt, Tracer, TracerProvider},
};
use towpath_telemetry::otlp::Otlp;
use tracing::Subscriber;
use tracing_subscriber::{
    Layer, Registry,
    layer::{self, SubscriberExt},
};

use crate::{
    TRACES_ONLY,
    collector::{Arrived, Collector, Manner},
    setup,
};

/// What arrives when `act` is called inside and outside of a span that is taken; and the
/// identity of its trace.
fn arrived(own_roots: bool, act: impl Fn(&str)) -> (Arrived, Vec<u8>) {
    let collector = Collector::new(Manner::Prompt);
    let telemetry = setup(&collector.url(), &[]).own_roots(own_roots);
    let telemetry = telemetry.start().unwrap();
    let subscriber = Registry::default().with(telemetry.layers());
    let trace = tracing::subscriber::with_default(subscriber, || within(&telemetry, act));
    let end = telemetry.shutdown_blocking(Duration::from_secs(10));
    assert_eq!(end.lost(), 0);
    (collector.arrived(), trace)
}

fn within(telemetry: &Otlp, act: impl Fn(&str)) -> Vec<u8> {
    let tracer = telemetry.tracer_provider().unwrap().tracer("test");
    let root = tracer.start_with_context("root", &Context::new());
    let trace = root.span_context().trace_id().to_bytes().to_vec();
    {
        let _entered = Context::new().with_span(root).attach();
        act("inside");
    }
    act("outside");
    trace
}

#[test]
fn a_span_of_ones_own_is_a_child_inside_of_a_taken_one_and_nothing_outside() {
    let (arrived, trace) = arrived(false, |place| {
        tracing::info_span!("mine", place).in_scope(|| {
            tracing::info_span!("deeper").in_scope(|| {});
        });
    });
    let names: Vec<_> = arrived
        .spans
        .iter()
        .map(|span| span.name.as_str())
        .collect();
    assert_eq!(names, ["deeper", "mine", "root"]);
    assert!(arrived.spans.iter().all(|span| span.trace_id == trace));
    let [deeper, mine, root] = &arrived.spans[..] else {
        unreachable!("three");
    };
    assert_eq!(deeper.parent_span_id, mine.span_id);
    assert_eq!(mine.parent_span_id, root.span_id);
    let keys: Vec<_> = mine.attributes.iter().map(|a| a.key.as_str()).collect();
    assert_eq!(keys, ["place"], "none about code, thread or target");
}

#[test]
fn spans_of_ones_own_begin_traces_when_that_is_wanted() {
    let (arrived, trace) = arrived(true, |_| drop(tracing::info_span!("mine").entered()));
    let outside: Vec<_> = arrived
        .spans
        .iter()
        .filter(|s| s.trace_id != trace)
        .collect();
    assert_eq!(outside.len(), 1);
    assert!(outside[0].parent_span_id.is_empty());
}

#[test]
fn layers_that_send_nothing_leave_the_others_alone() {
    let off: &[_] = &[("OTEL_SDK_DISABLED", "true")];
    let traces_only: &[_] = &TRACES_ONLY;
    for variables in [off, traces_only] {
        let telemetry = setup("localhost:9", variables).start().unwrap();
        let seen = Arc::new(AtomicU32::new(0));
        let subscriber = Registry::default()
            .with(Seen(Arc::clone(&seen)))
            .with(telemetry.layers());
        tracing::subscriber::with_default(subscriber, || tracing::debug!("hello"));
        assert_eq!(seen.load(Relaxed), 1);
    }
}

/// Counts events.
struct Seen(Arc<AtomicU32>);

impl<S: Subscriber> Layer<S> for Seen {
    fn on_event(&self, _: &tracing::Event<'_>, _: layer::Context<'_, S>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_log_record_has_the_identity_of_the_trace_that_it_belongs_to() {
    let (arrived, trace) = arrived(false, |place| {
        tracing::warn!(place, "hello");
        tracing::debug!("too low");
        tracing::error!(target: "hyper::client", "of the way");
        tracing::error!(target: "opentelemetry_sdk", "of the way");
    });
    let traces: Vec<_> = arrived
        .logs
        .iter()
        .map(|log| log.trace_id.clone())
        .collect();
    assert_eq!(traces, [trace, vec![]]);
    assert_eq!(arrived.logs[0].severity_text, "WARN");
}
