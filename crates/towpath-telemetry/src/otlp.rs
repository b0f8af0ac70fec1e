//! Traces, figures and logs to a collector by OTLP, set up in one call.
//!
//! ```no_run
//! use std::time::Duration;
//! use towpath_telemetry::otlp;
//!
//! # async fn example() -> Result<(), otlp::SetupError> {
//! let telemetry = otlp::init("flights")?;
//! // Pipeline::builder("flights").telemetry(telemetry.monitor()) ..
//! let end = telemetry.shutdown(Duration::from_secs(5)).await;
//! println!("{} spans lost", end.spans.lost());
//! # Ok(())
//! # }
//! ```
//!
//! A thread of its own sends, with a runtime of its own: nothing of this waits for, or is
//! waited for by, the runtime of the pipelines, and it works without one.
//!
//! Constraints:
//! - What ends waits in a queue: 16 384 spans and 8 192 log records, unless the variables say
//!   otherwise. What finds it full is lost and counted; nobody ever waits for room. A span
//!   takes about 1 KiB.
//! - 512 are sent at once, or fewer after 5 s (log records: 1 s). One request of each signal
//!   is on its way at a time, with up to 5 attempts in 30 s.
//! - Figures are pushed each 60 s, and at the shutdown.
//! - One message in a hundred is traced unless its sender has decided, or `ratio` or
//!   `OTEL_TRACES_SAMPLER` says more. A sampler that is not `parentbased_` chooses among
//!   messages without a `traceparent` only, but for `always_off`, which is nothing at all.
//! - `https` needs the feature `otlp-tls`.
//!
//! # Variables
//!
//! | variable | default |
//! |---|---|
//! | `OTEL_SDK_DISABLED` | `false` |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | the name given in code |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | `http://localhost:4318`, with gRPC `http://localhost:4317` |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` | `grpc` where the endpoint has port 4317, else `http/protobuf` |
//! | `OTEL_EXPORTER_OTLP_HEADERS`, `.._COMPRESSION` | none |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT` | 10 000 ms, of each attempt |
//! | each of these with `_TRACES_`, `_METRICS_` or `_LOGS_` after `OTLP` | that of all |
//! | `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER` | `otlp`; or `none` |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `parentbased_traceidratio`, 0.01 |
//! | `OTEL_PROPAGATORS` | `tracecontext,baggage` |
//! | `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BLRP_MAX_QUEUE_SIZE` | 16 384, 8 192 |
//! | `OTEL_BSP_SCHEDULE_DELAY`, `OTEL_BLRP_SCHEDULE_DELAY` | 5 000 ms, 1 000 ms |
//! | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE` | 512 |
//! | `OTEL_BSP_EXPORT_TIMEOUT`, `OTEL_BLRP_EXPORT_TIMEOUT` | 30 000 ms, with all attempts |
//! | `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_METRIC_EXPORT_TIMEOUT` | 60 000 ms, 30 000 ms |
//!
//! # With what you have
//!
//! - A provider of your own needs nothing of this module:
//!   [`Monitor::traced_by`]`(`[`Tracing::new`](crate::traces::Tracing::new)`(&provider))`.
//!   If its sampler is more than parent-based, put [`Chosen`] before it.
//! - A subscriber of your own takes [`Otlp::layers`]; it is left in place when there is one.

mod config;
mod counts;
mod error;
mod exporter;
mod figures;
mod layers;
mod logs;
mod queue;
mod sampler;
mod setup;
mod spans;
mod thread;
mod transport;
mod worker;

use std::{fmt, sync::mpsc, time::Duration};

use opentelemetry_sdk::{logs::SdkLoggerProvider, trace::SdkTracerProvider};
use tokio::sync::oneshot;
use tracing::Subscriber;
use tracing_subscriber::{Layer, registry::LookupSpan};

pub use self::{
    config::Protocol,
    counts::{Exported, Shutdown},
    error::{Problem, SetupError},
    sampler::Chosen,
    setup::Setup,
};
use self::{
    layers::Wanted,
    setup::Globals,
    thread::{Queues, Sender},
};
use crate::Monitor;

/// How long a drop without a shutdown waits for what is to be sent.
const DROPPED: Duration = Duration::from_secs(1);

/// How much longer than its deadline the thread may take to answer, before it is forgotten.
const GRACE: Duration = Duration::from_millis(500);

/// Sends traces, figures and logs until it is shut down: see the [module](self).
///
/// Dropped without a shutdown, it sends what it can within one second, and blocks for that
/// long at most.
#[must_use = "what waits is sent within a second when it is dropped, and the rest is lost"]
pub struct Otlp {
    monitor: Monitor,
    queues: Queues,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    wanted: Wanted,
    /// `None` when nothing is sent, or no more.
    sender: Option<Sender>,
    warnings: Vec<String>,
    _globals: Option<Globals>,
    installed: bool,
}

/// Sets up traces, figures and logs for a service of that name, as the standard variables
/// have it, and prints logs to the standard error output unless the process has a `tracing`
/// subscriber. `RUST_LOG` says what is printed, `info` by default.
///
/// # Errors
/// As [`Setup::start`].
pub fn init(service: impl Into<String>) -> Result<Otlp, SetupError> {
    Setup::new(service).start()
}

// === impl Otlp ===

impl Otlp {
    /// What looks after the pipelines: give it to each of them.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// For a subscriber of your own: spans and events inside of traced messages go to their
    /// traces, and events to the logs, with the identity of the trace.
    pub fn layers<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        layers::layers(self.traces.as_ref(), self.logs.as_ref(), self.wanted)
    }

    /// Whether the `tracing` subscriber of the process is ours; when it is not, and has not
    /// got our [`layers`](Self::layers), neither logs nor spans of your own are sent.
    pub fn installed_subscriber(&self) -> bool {
        self.installed
    }

    /// What is not as the variables want it, but no reason to fail.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What has become of the spans so far.
    pub fn spans(&self) -> Exported {
        self.queues.spans.counts()
    }

    /// What has become of the log records so far.
    pub fn logs(&self) -> Exported {
        self.queues.logs.counts()
    }

    /// What has become of the pushes of figures so far.
    pub fn metrics(&self) -> Exported {
        self.queues.figures.counts()
    }

    /// The provider of the traces, for tracers of your own; `None` when no traces are sent.
    pub fn tracer_provider(&self) -> Option<&SdkTracerProvider> {
        self.traces.as_ref()
    }

    /// Blocks until the spans and log records up to now are sent or lost, but no longer than
    /// that: whether they are.
    pub fn flush_blocking(&self, within: Duration) -> bool {
        // Both have begun before the first is waited for.
        std::thread::scope(|scope| {
            let logs = scope.spawn(|| self.queues.logs.flush(within));
            let spans = self.queues.spans.flush(within);
            spans && logs.join().unwrap_or(false)
        })
    }

    /// Sends what waits, and the figures once more, but no longer than that. What is not
    /// confirmed by then is lost.
    ///
    /// End the pipelines before. Works on any runtime, and never blocks.
    ///
    /// # Cancel safety
    /// The shutdown goes on until its deadline when the future is dropped, but nobody is told
    /// how it went.
    pub async fn shutdown(mut self, within: Duration) -> Shutdown {
        let Some(sender) = self.sender.take() else {
            return self.account(true);
        };
        let (told, in_time) = oneshot::channel();
        let thread = sender.stop(within, move |in_time| {
            told.send(in_time).ok();
        });
        let in_time = in_time.await;
        if in_time.is_ok() {
            thread.join().ok();
        }
        self.account(in_time.unwrap_or(false))
    }

    /// As [`shutdown`](Self::shutdown), and blocks meanwhile.
    pub fn shutdown_blocking(mut self, within: Duration) -> Shutdown {
        self.end(within)
    }

    fn end(&mut self, within: Duration) -> Shutdown {
        let Some(sender) = self.sender.take() else {
            return self.account(true);
        };
        let (told, in_time) = mpsc::sync_channel(1);
        let thread = sender.stop(within, move |in_time| {
            told.send(in_time).ok();
        });
        let in_time = in_time.recv_timeout(within.saturating_add(GRACE));
        if in_time.is_ok() {
            thread.join().ok();
        }
        self.account(in_time.unwrap_or(false))
    }

    fn account(&self, in_time: bool) -> Shutdown {
        self.queues.abandon();
        Shutdown {
            spans: self.spans(),
            logs: self.logs(),
            metrics: self.metrics(),
            in_time,
        }
    }
}

impl Drop for Otlp {
    fn drop(&mut self) {
        if self.sender.is_some() {
            let lost = self.end(DROPPED).lost();
            if lost > 0 {
                tracing::warn!(lost, "telemetry was dropped before everything was sent");
            }
        }
    }
}

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp")
            .field("spans", &self.spans())
            .field("logs", &self.logs())
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
