//! Telemetry reaches its collector, or is counted as lost; and nobody waits for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "shared_otlp/collector.rs"]
mod collector;
#[path = "shared_otlp/faults.rs"]
mod faults;
#[path = "shared_otlp/joined.rs"]
mod joined;
#[path = "shared_otlp/sending.rs"]
mod sending;

use opentelemetry::{
    Context,
    trace::{Tracer, TracerProvider},
};
use towpath_telemetry::otlp::{Exported, Otlp, Setup};

/// All messages are traced, nothing of the process is touched, and no variable is set but
/// those.
fn setup(endpoint: &str, variables: &'static [(&'static str, &'static str)]) -> Setup {
    let lookup = |wanted: &str| {
        let found = variables.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| (*value).to_owned())
    };
    Setup::new("flights")
        .endpoint(endpoint)
        .ratio(1.0)
        .without_globals()
        .variables(lookup)
}

/// Only traces are sent.
const TRACES_ONLY: [(&str, &str); 2] = [
    ("OTEL_METRICS_EXPORTER", "none"),
    ("OTEL_LOGS_EXPORTER", "none"),
];

/// Begins and ends so many spans.
fn emit(telemetry: &Otlp, count: u64) {
    let tracer = telemetry.tracer_provider().unwrap().tracer("test");
    for _ in 0..count {
        drop(tracer.start_with_context("span", &Context::new()));
    }
}

#[track_caller]
fn assert_adds_up(spans: Exported, emitted: u64) {
    assert_eq!(spans.emitted, emitted);
    assert_eq!(spans.sent + spans.lost(), emitted, "{spans:?}");
    assert_eq!(spans.waiting(), 0);
}
