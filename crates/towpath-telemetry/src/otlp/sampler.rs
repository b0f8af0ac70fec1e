//! Chooses traces, but for those that are chosen.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceContextExt, TraceId},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

use crate::traces::is_decided;

/// A sampler that takes every span of a message that Towpath has chosen, and whatever is done
/// for it; for all other spans it asks another one.
///
/// For providers of your own: without it, a sampler chooses a second time among the messages
/// that [`Tracing`](crate::traces::Tracing) has chosen.
///
/// ```
/// use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
/// use towpath_telemetry::{Monitor, otlp::Chosen, traces::Tracing};
///
/// let provider = SdkTracerProvider::builder()
///     .with_sampler(Chosen::or(Sampler::AlwaysOff))
///     .build();
/// let monitor = Monitor::new().traced_by(Tracing::new(&provider).ratio(0.1));
/// # assert!(monitor.statuses().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Chosen {
    other: Box<dyn ShouldSample>,
}

impl Chosen {
    /// Asks `other` about what is not of a message.
    pub fn or(other: impl ShouldSample + 'static) -> Self {
        let other = Box::new(other);
        Self { other }
    }
}

impl ShouldSample for Chosen {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if is_decided() || parent.is_some_and(is_taken_here) {
            return taken(parent);
        }
        self.other
            .should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

/// A trace is taken whole or not at all.
fn is_taken_here(parent: &Context) -> bool {
    let span = parent.span();
    let parent = span.span_context();
    parent.is_valid() && parent.is_sampled() && !parent.is_remote()
}

fn taken(parent: Option<&Context>) -> SamplingResult {
    let state = parent.map(|parent| parent.span().span_context().trace_state().clone());
    SamplingResult {
        decision: SamplingDecision::RecordAndSample,
        attributes: Vec::new(),
        trace_state: state.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

    use super::*;

    #[test]
    fn what_belongs_to_a_taken_span_is_taken_and_other_spans_are_up_to_the_other_sampler() {
        let yes = SdkTracerProvider::builder().build().tracer("test");
        let no = SdkTracerProvider::builder()
            .with_sampler(Chosen::or(Sampler::AlwaysOff))
            .build()
            .tracer("test");
        let taken = Context::new().with_span(yes.start("root"));
        assert!(no.start_with_context("child", &taken).is_recording());
        assert!(
            !no.start_with_context("root", &Context::new())
                .is_recording()
        );
        let remote = taken.span().span_context().clone();
        let remote = opentelemetry::trace::SpanContext::new(
            remote.trace_id(),
            remote.span_id(),
            remote.trace_flags(),
            true,
            remote.trace_state().clone(),
        );
        let remote = Context::new().with_remote_span_context(remote);
        assert!(!no.start_with_context("elsewhere", &remote).is_recording());
    }
}
