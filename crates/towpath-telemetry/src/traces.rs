//! Traces of messages, with whatever OpenTelemetry provider there is.
//!
//! A message is chosen when it comes from its source, before any span is built: as the
//! sender decided, where its headers say so; by chance otherwise. One that is chosen has
//! one trace from its receipt to its outcome; one that is not costs next to nothing.
//!
//! ```
//! use opentelemetry::global;
//! use towpath_telemetry::{Monitor, traces::Tracing};
//!
//! let tracing = Tracing::new(&global::tracer_provider()).ratio(0.05);
//! let monitor = Monitor::new().traced_by(tracing);
//! # assert!(monitor.statuses().is_empty());
//! ```
//!
//! ```text
//! poll orders              the receipt; a child of the sender's span
//! ├─ queue parse           waits in the link
//! ├─ process parse
//! │  ├─ attempt parse      fails: error.type timeout
//! │  ├─ wait parse         for the backoff
//! │  └─ attempt parse
//! ├─ queue batches
//! ├─ batch batches         links to the other members
//! │  └─ send store
//! ├─ create store          its context travels in what is sent
//! └─ ack orders            the source is told
//! ```
//!
//! Constraints:
//! - Headers are looked up by their exact names, in lower case: `traceparent`, `tracestate`.
//! - A sender that traces all it sends has all of it traced here.
//! - A span has 128 links at most, unless [`Tracing::max_links`] says more. The limit of the
//!   provider holds too.
//! - The span of a receipt shows at most one second of the wait for the source; the whole is its
//!   attribute `towpath.poll.wait`.
//! - A description of an error has 1024 bytes at most.
//! - A provider whose sampler has no regard for [`is_decided`] has the last word: what it
//!   does not want is not traced. One that heeds the parent agrees to all but new traces.

mod chance;
mod clock;
mod decided;
pub mod names;
mod propagation;
mod scene;
mod span;
mod steps;
#[cfg(test)]
mod tests;
mod text;
mod tracer;
mod w3c;

use std::{fmt, sync::Arc};

use fastrand::Rng;
use opentelemetry::{
    InstrumentationScope,
    propagation::TextMapPropagator,
    trace::{self as otel, TracerProvider},
};
use towpath_core::{StageName, trace::Tracer};

pub use decided::is_decided;

use self::{
    chance::Chance,
    propagation::Propagation,
    scene::{Setting, Start},
    tracer::PipelineTracer,
};
use crate::Tracers;

/// How many messages are traced of those whose senders have not decided.
const RATIO: f64 = 0.01;
/// How many links a span has, as OpenTelemetry has it by default.
const MAX_LINKS: u32 = 128;

/// Traces messages with an OpenTelemetry provider: see the [module](self).
#[derive(Clone)]
pub struct Tracing {
    setting: Setting,
    ratio: f64,
    seed: Option<u64>,
}

// === impl Tracing ===

impl Tracing {
    /// With a tracer of that provider: the user's own, or the global one.
    pub fn new<P>(provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as otel::Tracer>::Span: Send + Sync + 'static,
    {
        let scope = InstrumentationScope::builder(names::SCOPE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(names::SCHEMA_URL)
            .build();
        Self::from_tracer(provider.tracer_with_scope(scope))
    }

    /// With that tracer.
    pub fn from_tracer<T>(tracer: T) -> Self
    where
        T: otel::Tracer + Send + Sync + 'static,
        T::Span: Send + Sync + 'static,
    {
        let tracer: Arc<dyn Start> = Arc::new(tracer);
        Self {
            setting: Setting {
                tracer,
                propagation: Arc::new(Propagation::W3c),
                max_links: MAX_LINKS,
            },
            ratio: RATIO,
            seed: None,
        }
    }

    /// Traces that part of the messages whose senders have not decided: 0 is none of them,
    /// 1 is all. By default one in a hundred: enough to see what goes on, and affordable at
    /// any rate. What is no number counts as 0.
    #[must_use]
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// Reads and writes headers that way, instead of W3C Trace Context.
    ///
    /// A composite with the propagator of baggage also carries that from message to message.
    #[must_use]
    pub fn propagator(mut self, by: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        self.setting.propagation = Arc::new(Propagation::by(by));
        self
    }

    /// Links of a span, to other members of its batch, at most. Those beyond are counted in
    /// its attribute `towpath.links.dropped`.
    ///
    /// More than 128 only where the provider allows as many.
    #[must_use]
    pub fn max_links(mut self, max_links: u32) -> Self {
        self.setting.max_links = max_links;
        self
    }

    /// Makes the choice by chance a matter of the seed, so that a test can be repeated.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

impl Tracers for Tracing {
    fn tracer(&self, pipeline: &StageName) -> Arc<dyn Tracer> {
        let rng = self.seed.map_or_else(Rng::new, Rng::with_seed);
        let chance = Chance::new(self.ratio, rng);
        let setting = self.setting.clone();
        Arc::new(PipelineTracer::new(setting, pipeline, chance))
    }
}

impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracing")
            .field("ratio", &self.ratio)
            .field("propagation", &self.setting.propagation)
            .field("max_links", &self.setting.max_links)
            .finish_non_exhaustive()
    }
}
