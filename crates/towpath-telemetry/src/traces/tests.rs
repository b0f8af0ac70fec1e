//! What reaches an exporter of the OpenTelemetry SDK.

mod choice;
mod spans;
mod tree;

use std::{sync::Arc, time::Duration};

use opentelemetry::trace::SpanId as OtelSpanId;
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, SdkTracerProvider, ShouldSample, SpanData, TracerProviderBuilder,
};
use towpath_core::{
    Headers, Origin, Peer, StageName,
    trace::{Arrival, Begun, Span, Tracer},
};

use super::Tracing;
use crate::Tracers as _;

pub(super) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(super) const SENDER: &str = "b7ad6b7169203331";

/// A provider that keeps what is exported, and a tracer of a pipeline.
pub(super) struct Rig {
    pub(super) provider: SdkTracerProvider,
    pub(super) tracer: Arc<dyn Tracer>,
    exporter: InMemorySpanExporter,
    source: StageName,
}

// === impl Rig ===

impl Rig {
    /// Traces all messages, unless told otherwise.
    pub(super) fn new() -> Self {
        Self::with(|tracing| tracing)
    }

    pub(super) fn with(set: impl FnOnce(Tracing) -> Tracing) -> Self {
        Self::build(|provider| provider, set)
    }

    /// With a provider that has a sampler of its own.
    pub(super) fn sampled_by(sampler: impl ShouldSample + 'static) -> Self {
        Self::build(|provider| provider.with_sampler(sampler), |tracing| tracing)
    }

    pub(super) fn build(
        provider: impl FnOnce(TracerProviderBuilder) -> TracerProviderBuilder,
        set: impl FnOnce(Tracing) -> Tracing,
    ) -> Self {
        let exporter = InMemorySpanExporter::default();
        let builder = SdkTracerProvider::builder().with_simple_exporter(exporter.clone());
        let provider = provider(builder).build();
        let tracing = set(Tracing::new(&provider).ratio(1.0).seeded(7));
        Self {
            tracer: tracing.tracer(&"orders-pipeline".into()),
            provider,
            exporter,
            source: "orders".into(),
        }
    }

    /// What is begun for a chunk of that many messages, of which nothing is known.
    pub(super) fn begin(&self, count: u32) -> Vec<Begun> {
        let peer = Peer::default();
        let arrival = Arrival::new(&self.source, &peer, Duration::ZERO, Duration::ZERO);
        self.tracer.begin(&arrival.deliveries(count, &[]))
    }

    /// What is begun for messages of Kafka.
    pub(super) fn begin_all(&self, origins: &[Origin]) -> Vec<Begun> {
        let times = (Duration::from_millis(2), Duration::from_millis(5));
        let peer = Peer::new("kafka").destination("orders");
        let arrival = Arrival::new(&self.source, &peer, times.0, times.1);
        let count = u32::try_from(origins.len()).expect("few");
        self.tracer.begin(&arrival.deliveries(count, origins))
    }

    /// The root of a message of which nothing is known.
    pub(super) fn root(&self) -> Arc<dyn Span> {
        self.begin(1).remove(0).root
    }

    /// What was exported, in the order of its end.
    pub(super) fn spans(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().expect("not poisoned")
    }

    /// The one of that name.
    pub(super) fn span(&self, name: &str) -> SpanData {
        let spans = self.spans();
        let mut named = spans.iter().filter(|span| span.name == name);
        let (first, second) = (named.next(), named.next());
        assert!(second.is_none(), "two of {name}");
        first
            .unwrap_or_else(|| panic!("{name} in {spans:?}"))
            .clone()
    }
}

/// A message that carries that `traceparent`.
pub(super) fn sent_by(flags: &str) -> Origin {
    let parent = format!("00-{TRACE}-{SENDER}-{flags}");
    carrying(&[("traceparent", &parent), ("tracestate", "vendor=kept")])
}

pub(super) fn carrying(headers: &[(&str, &str)]) -> Origin {
    let headers: Headers = headers.iter().copied().collect();
    Origin::default().headers(headers)
}

/// The value of an attribute, as text. Fails when it is there twice.
pub(super) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let mut values = span.attributes.iter().filter(|kv| kv.key.as_str() == key);
    let value = values.next().map(|kv| kv.value.to_string());
    assert!(values.next().is_none(), "{key} is there twice");
    value
}

pub(super) fn id(span: &SpanData) -> OtelSpanId {
    span.span_context.span_id()
}
