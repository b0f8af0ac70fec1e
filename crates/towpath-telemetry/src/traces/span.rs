//! The spans of a traced message.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::{
    Context, ContextGuard, KeyValue, Value,
    trace::{SpanContext, Status, TraceContextExt, TraceFlags, TraceState},
};
use towpath_core::{
    Headers,
    trace::{End, Scope, Span, SpanId, Step},
};

use super::{
    names,
    scene::Scene,
    steps::{self, Draft},
    text,
};

/// A span of a message, in its OpenTelemetry context.
pub(super) struct MessageSpan {
    scene: Arc<Scene>,
    context: Context,
    /// The kind of error that it carries even when it ends well.
    cause: Option<Cow<'static, str>>,
    links: AtomicU32,
    ended: AtomicBool,
}

struct Attached(#[expect(dead_code, reason = "detaches when it is dropped")] ContextGuard);

impl Scope for Attached {}

// === impl MessageSpan ===

impl MessageSpan {
    /// The span of a message's receipt, already ended; `None` where the provider's own
    /// sampler does not want the message traced.
    pub(super) fn receipt(
        scene: Arc<Scene>,
        draft: Draft,
        (asked_at, came_at): (Duration, Duration),
        parent: &Context,
    ) -> Option<Self> {
        let span = Self::begin(scene, draft, asked_at, parent);
        let sampled = span.context.span().span_context().is_sampled();
        span.finish(&End::Done, came_at);
        sampled.then_some(span)
    }

    fn begin(scene: Arc<Scene>, mut draft: Draft, at: Duration, parent: &Context) -> Self {
        let cause = draft.cause.take();
        let context = scene.start(draft.into_builder(), at, parent);
        Self {
            scene,
            context,
            cause,
            links: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// Only the first call counts.
    fn finish(&self, end: &End<'_>, at: Duration) {
        if self.ended.swap(true, Relaxed) {
            return;
        }
        let span = self.context.span();
        if let Some(dropped) = self.links_dropped() {
            span.set_attribute(dropped);
        }
        match end {
            End::Done => {
                if let Some(cause) = &self.cause {
                    span.set_attribute(error_type(cause.clone()));
                }
            }
            End::Failed { kind, error } => {
                span.set_attribute(error_type(kind.clone()));
                span.set_status(Status::error(text::describe(*error)));
            }
            _ => {
                span.set_attribute(error_type(names::ABANDONED));
                span.set_status(Status::error(names::ABANDONED));
            }
        }
        span.end_with_timestamp(self.scene.clock.wall(at));
    }

    fn links_dropped(&self) -> Option<KeyValue> {
        let links = self.links.load(Relaxed);
        let dropped = links.saturating_sub(self.scene.setting.max_links);
        (dropped > 0).then(|| KeyValue::new(names::LINKS_DROPPED, i64::from(dropped)))
    }
}

fn error_type(kind: impl Into<Value>) -> KeyValue {
    KeyValue::new(names::ERROR_TYPE, kind)
}

/// The context of another traced span, of this process or another.
fn context_of(id: SpanId) -> SpanContext {
    SpanContext::new(
        id.trace.into(),
        id.span.into(),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    )
}

impl Span for MessageSpan {
    fn start(&self, step: &Step<'_>, at: Duration) -> Arc<dyn Span> {
        let draft = steps::draft(&self.scene, step);
        Arc::new(Self::begin(self.scene.clone(), draft, at, &self.context))
    }

    fn link(&self, to: &dyn Span) {
        let before = self.links.fetch_add(1, Relaxed);
        if before < self.scene.setting.max_links {
            self.context
                .span()
                .add_link(context_of(to.id()), Vec::new());
        }
    }

    fn enter(&self) -> Box<dyn Scope> {
        Box::new(Attached(self.context.clone().attach()))
    }

    fn headers(&self) -> Headers {
        self.scene.setting.propagation.inject(&self.context)
    }

    fn id(&self) -> SpanId {
        let span = self.context.span();
        let context = span.span_context();
        SpanId {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
        }
    }

    fn end(&self, end: &End<'_>, at: Duration) {
        self.finish(end, at);
    }
}

impl Drop for MessageSpan {
    fn drop(&mut self) {
        if !*self.ended.get_mut() {
            self.finish(&End::Abandoned, self.scene.clock.now());
        }
    }
}

impl fmt::Debug for MessageSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageSpan")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
