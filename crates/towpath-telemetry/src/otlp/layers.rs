//! What a `tracing` subscriber needs so that spans and events of your own join the traces.

use opentelemetry::{
    Context,
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::{logs::SdkLoggerProvider, trace::SdkTracerProvider};
use tracing::{Metadata, Subscriber, subscriber::Interest};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt::{
        self, FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    layer::{self, Filter, SubscriberExt},
    registry::{LookupSpan, Registry},
};

/// The name of the tracer of spans that are not Towpath's.
const SCOPE: &str = "tracing";

/// Which spans and events are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) level: LevelFilter,
    /// Whether spans outside of any trace begin one.
    pub(super) own_roots: bool,
}

/// Spans and events for the traces, and events for the logs.
pub(super) fn layers<S>(
    traces: Option<&SdkTracerProvider>,
    logs: Option<&SdkLoggerProvider>,
    wanted: Wanted,
) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let traces = traces.map(|provider| traced(provider, wanted));
    let logs = logs.map(|provider| {
        let own = filter_fn(|metadata| !is_of_the_way(metadata.target()));
        OpenTelemetryTracingBridge::new(provider).with_filter(own.and(wanted.level))
    });
    Layer::and_then(traces, logs)
}

fn traced<S>(provider: &SdkTracerProvider, wanted: Wanted) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SCOPE))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_filter(Traced(wanted))
}

/// Only what belongs to a trace that is taken: a span costs the layer as much where nobody
/// wants the trace.
#[derive(Clone, Copy, Debug)]
struct Traced(Wanted);

impl Traced {
    fn may_be(self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.0.level && !is_of_the_way(metadata.target())
    }

    fn is_now(self) -> bool {
        Context::map_current(|context| {
            if context.has_active_span() {
                return context.span().span_context().is_sampled();
            }
            self.0.own_roots
        })
    }
}

impl<S> Filter<S> for Traced {
    /// Asked for each span and event of those that may be.
    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.is_now() && self.may_be(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.may_be(metadata) {
            return Interest::sometimes();
        }
        Interest::never()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.level)
    }
}

/// Of those who carry telemetry: what they say about it would be telemetry again.
fn is_of_the_way(target: &str) -> bool {
    let of = target.split("::").next().unwrap_or(target);
    matches!(
        of,
        "hyper" | "hyper_util" | "h2" | "tonic" | "reqwest" | "tower"
    ) || of.starts_with("opentelemetry")
}

/// Makes a subscriber for the process that prints what happens, with these layers too;
/// whether there was none before.
pub(super) fn install<L>(layers: L, printed: EnvFilter) -> bool
where
    L: Layer<Printing> + Send + Sync,
{
    if tracing::dispatcher::has_been_set() {
        return false;
    }
    let subscriber = Registry::default().with(printed).with(printer());
    let subscriber = subscriber.with(layers);
    tracing::subscriber::set_global_default(subscriber).is_ok()
}

/// The subscriber that [`install`] puts its layers on.
pub(super) type Printing = tracing_subscriber::layer::Layered<
    fmt::Layer<Filtering, fmt::format::DefaultFields, WithTrace, fn() -> std::io::Stderr>,
    Filtering,
>;
type Filtering = tracing_subscriber::layer::Layered<EnvFilter, Registry>;

fn printer() -> fmt::Layer<Filtering, fmt::format::DefaultFields, WithTrace, fn() -> std::io::Stderr>
{
    fmt::layer()
        .with_writer(std::io::stderr as fn() -> std::io::Stderr)
        .event_format(WithTrace(Format::default()))
}

/// Lines that begin with the trace that they belong to, where there is one.
pub(super) struct WithTrace(Format);

impl<S, N> FormatEvent<S, N> for WithTrace
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let trace = Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            span.is_sampled().then(|| span.trace_id())
        });
        if let Some(trace) = trace {
            write!(writer, "trace={trace} ")?;
        }
        self.0.format_event(context, writer, event)
    }
}
