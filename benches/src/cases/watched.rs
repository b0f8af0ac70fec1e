//! What it costs to be looked after: the job in batches, with figures and traces.
//!
//! Spans go to OpenTelemetry's own provider, which drops them at their end: what is measured is
//! the making of them.

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use tokio::runtime::Runtime;
use towpath::core::Timing;
use towpath::telemetry::Monitor;
use towpath::telemetry::traces::Tracing;

use super::towpath::{in_batches, policed_by};
use crate::case::{Case, Job};
use crate::message::Counts;

pub(super) const CASES: [Case; 7] = [
    case("no-telemetry", |runtime, messages| {
        in_batches(runtime, messages, |pipeline| pipeline)
    }),
    case("events", |runtime, messages| {
        watched(runtime, messages, timed(Timing::Off))
    }),
    case("towpath", |runtime, messages| {
        watched(runtime, messages, timed(Timing::Chunks))
    }),
    case("each-timed", |runtime, messages| {
        watched(runtime, messages, timed(Timing::Messages))
    }),
    case("traced-1%", |runtime, messages| {
        watched(runtime, messages, traced(timed(Timing::Off), 0.01))
    }),
    case("traced-100%", |runtime, messages| {
        watched(runtime, messages, traced(timed(Timing::Off), 1.0))
    }),
    case("everything", |runtime, messages| {
        let monitor = traced(timed(Timing::Chunks), 0.01);
        policed_by(runtime, messages, |pipeline| pipeline.telemetry(monitor))
    }),
];

const fn case(contender: &'static str, run: fn(&Runtime, u32) -> Counts) -> Case {
    Case {
        job: Job::Watched,
        contender,
        run,
    }
}

fn watched(runtime: &Runtime, messages: u32, monitor: Monitor) -> Counts {
    in_batches(runtime, messages, |pipeline| pipeline.telemetry(monitor))
}

fn timed(timing: Timing) -> Monitor {
    Monitor::new().timing(timing)
}

fn traced(monitor: Monitor, ratio: f64) -> Monitor {
    let provider = SdkTracerProvider::builder().with_span_processor(Dropping);
    monitor.traced_by(Tracing::new(&provider.build()).ratio(ratio).seeded(2013))
}

/// Takes spans and does nothing with them.
#[derive(Debug)]
struct Dropping;

impl SpanProcessor for Dropping {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        drop(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
        Ok(())
    }
}
