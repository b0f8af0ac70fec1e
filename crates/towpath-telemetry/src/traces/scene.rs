//! What the spans of a message have in common, and how they are started.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    trace::{self as otel, SpanBuilder, TraceContextExt},
};
use towpath_core::{Peer, StageName};

use super::{clock::Clock, decided::decided, propagation::Propagation};

/// Starts spans with a tracer of any kind.
pub(super) trait Start: Send + Sync + 'static {
    /// The parent, with the new span in it.
    fn start(&self, builder: SpanBuilder, parent: &Context) -> Context;
}

/// What a user has set, for all pipelines.
#[derive(Clone)]
pub(super) struct Setting {
    pub(super) tracer: Arc<dyn Start>,
    pub(super) propagation: Arc<Propagation>,
    pub(super) max_links: u32,
}

/// What the spans of the traced messages of a chunk have in common.
pub(super) struct Scene {
    pub(super) setting: Setting,
    pub(super) pipeline: KeyValue,
    pub(super) source: StageName,
    pub(super) peer: Peer,
    pub(super) clock: Clock,
}

// === impl Scene ===

impl Scene {
    /// Starts a span whose fate is decided: it is sampled, if the provider agrees.
    pub(super) fn start(&self, builder: SpanBuilder, at: Duration, parent: &Context) -> Context {
        let builder = builder.with_start_time(self.clock.wall(at));
        decided(|| self.setting.tracer.start(builder, parent))
    }
}

// === impl Start ===

impl<T> Start for T
where
    T: otel::Tracer + Send + Sync + 'static,
    T::Span: Send + Sync + 'static,
{
    fn start(&self, builder: SpanBuilder, parent: &Context) -> Context {
        parent.with_span(self.build_with_context(builder, parent))
    }
}
