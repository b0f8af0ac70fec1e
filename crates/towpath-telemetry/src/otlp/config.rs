//! What is to be sent where, and how: from the variables and from what the code says.

mod resource;
mod signal;
#[cfg(test)]
mod tests;
mod traces;
mod variables;

use std::{fmt, time::Duration};

use opentelemetry_sdk::Resource;
use tracing_subscriber::EnvFilter;

pub(super) use self::{
    signal::Target,
    traces::{Propagator, Sampling, composite},
    variables::{Lookup, Variables},
};
use super::{SetupError, queue::Pace};

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// gRPC; collectors listen for it on port 4317.
    Grpc,
    /// Protobuf over HTTP; collectors listen for it on port 4318.
    Http,
}

/// What the code says; where it says nothing, the variables do.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) service: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) endpoint: Option<String>,
    pub(super) protocol: Option<Protocol>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Option<Duration>,
    pub(super) gzip: Option<bool>,
    pub(super) ratio: Option<f64>,
    pub(super) interval: Option<Duration>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) resource: Resource,
    pub(super) sampling: Sampling,
    pub(super) propagators: Vec<Propagator>,
    /// Where each signal goes; `None` for one that is not sent.
    pub(super) traces: Option<Target>,
    pub(super) logs: Option<Target>,
    pub(super) metrics: Option<Target>,
    pub(super) spans: Pace,
    pub(super) records: Pace,
    pub(super) pushes: Pace,
    /// What the process prints, as `RUST_LOG` has it.
    pub(super) printed: EnvFilter,
    /// What is not as the variables want it, but no reason to give up.
    pub(super) warnings: Vec<String>,
}

/// Spans that wait, by default: eight times what the SDK's processor keeps.
const SPANS: usize = 16_384;
/// Log records that wait, by default.
const RECORDS: usize = 8_192;

// === impl Protocol ===

impl Protocol {
    /// What a collector speaks that does not speak this.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Grpc => Self::Http,
            Self::Http => Self::Grpc,
        }
    }
}

impl fmt::Display for Protocol {
    /// As `OTEL_EXPORTER_OTLP_PROTOCOL` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc => "grpc",
            Self::Http => "http/protobuf",
        })
    }
}

// === impl Given ===

impl Given {
    fn check(&self, from: &mut Variables<'_>) {
        let durations = [
            ("Setup::timeout", self.timeout),
            ("Setup::interval", self.interval),
        ];
        for (name, duration) in durations {
            if duration == Some(Duration::ZERO) {
                from.problem(name, "0", "a duration above 0");
            }
        }
    }
}

// === impl Config ===

impl Config {
    /// All problems at once.
    pub(super) fn read(given: &Given, lookup: &Lookup) -> Result<Self, SetupError> {
        let mut from = Variables::new(lookup);
        let off = from.flag("OTEL_SDK_DISABLED");
        given.check(&mut from);
        let config = Self {
            resource: resource::read(given, &mut from),
            sampling: Sampling::read(given, &mut from),
            propagators: traces::propagators(&mut from),
            traces: signal::read("TRACES", given, &mut from).filter(|_| !off),
            logs: signal::read("LOGS", given, &mut from).filter(|_| !off),
            metrics: signal::read("METRICS", given, &mut from).filter(|_| !off),
            spans: pace("BSP", SPANS, Duration::from_secs(5), &mut from),
            records: pace("BLRP", RECORDS, Duration::from_secs(1), &mut from),
            pushes: pushes(given, &mut from),
            printed: printed(&mut from),
            warnings: Vec::new(),
        };
        let warnings = from.finish()?;
        Ok(Self { warnings, ..config })
    }

    /// Whether nothing at all is sent.
    pub(super) fn is_off(&self) -> bool {
        self.traces.is_none() && self.logs.is_none() && self.metrics.is_none()
    }
}

fn printed(from: &mut Variables<'_>) -> EnvFilter {
    let names = [EnvFilter::DEFAULT_ENV.to_owned()];
    let expected = "a list like `info,my_crate=debug`";
    from.read(&names, expected, |value| EnvFilter::try_new(value).ok())
        .unwrap_or_else(|| EnvFilter::new("info"))
}

fn pace(of: &str, capacity: usize, delay: Duration, from: &mut Variables<'_>) -> Pace {
    let capacity = from
        .count(&format!("OTEL_{of}_MAX_QUEUE_SIZE"))
        .unwrap_or(capacity);
    let batch = from.count(&format!("OTEL_{of}_MAX_EXPORT_BATCH_SIZE"));
    Pace {
        capacity,
        batch: batch.unwrap_or(512).min(capacity),
        delay: from
            .millis(&format!("OTEL_{of}_SCHEDULE_DELAY"))
            .unwrap_or(delay),
        timeout: from
            .millis(&format!("OTEL_{of}_EXPORT_TIMEOUT"))
            .unwrap_or(Duration::from_secs(30)),
    }
}

/// Figures are pushed one at a time.
fn pushes(given: &Given, from: &mut Variables<'_>) -> Pace {
    let interval = from.millis("OTEL_METRIC_EXPORT_INTERVAL");
    let timeout = from.millis("OTEL_METRIC_EXPORT_TIMEOUT");
    Pace {
        capacity: 1,
        batch: 1,
        delay: given
            .interval
            .or(interval)
            .unwrap_or(Duration::from_secs(60)),
        timeout: timeout.unwrap_or(Duration::from_secs(30)),
    }
}
