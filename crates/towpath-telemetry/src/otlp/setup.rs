//! Sets everything up, in one call.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::global;
use opentelemetry_sdk::{logs::SdkLoggerProvider, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::filter::LevelFilter;

use super::{
    Chosen, Otlp, Protocol, SetupError,
    config::{Config, Given, Lookup, Propagator, Target, composite},
    exporter::Exporter,
    figures::Figures,
    layers::{self, Wanted},
    logs::Logs,
    queue::Queue,
    spans::Spans,
    thread::{Queues, Sender, Work},
    transport::Transport,
};
use crate::{Monitor, traces::Tracing};

/// The most links of a span: a batch of more members counts the rest.
const MAX_LINKS: u32 = 1024;

/// What is sent, and where; what is not said here is read from the standard variables.
///
/// ```no_run
/// use std::time::Duration;
/// use towpath_telemetry::otlp::{Protocol, Setup};
///
/// let telemetry = Setup::new("flights")
///     .endpoint("http://collector:4317")
///     .protocol(Protocol::Grpc)
///     .ratio(0.1)
///     .start()?;
/// // .. pipelines with `.telemetry(telemetry.monitor())` ..
/// let end = telemetry.shutdown_blocking(Duration::from_secs(5));
/// println!("{} spans sent, {} lost", end.spans.sent, end.spans.lost());
/// # Ok::<(), towpath_telemetry::otlp::SetupError>(())
/// ```
#[must_use = "nothing is sent until it is started"]
pub struct Setup {
    given: Given,
    monitor: Monitor,
    wanted: Wanted,
    install: bool,
    lookup: Arc<Lookup>,
}

// === impl Setup ===

impl Setup {
    /// For a service of that name, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES`
    /// gives it another one.
    pub fn new(service: impl Into<String>) -> Self {
        let given = Given {
            service: service.into(),
            ..Given::default()
        };
        Self {
            given,
            monitor: Monitor::new(),
            wanted: Wanted {
                level: LevelFilter::INFO,
                own_roots: false,
            },
            install: true,
            lookup: Arc::new(|name: &str| {
                let value = std::env::var_os(name)?;
                Some(value.to_string_lossy().into_owned())
            }),
        }
    }

    /// Sends to that collector: `http://host:4317`, or without `http://`.
    ///
    /// Of HTTP it is the base that `/v1/traces` and so on are put behind.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.given.endpoint = Some(endpoint.into());
        self
    }

    /// Speaks to it so. By default gRPC where the endpoint has port 4317, otherwise HTTP.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.given.protocol = Some(protocol);
        self
    }

    /// Sends a header along with each request: a key, say.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.given.headers.push((name.into(), value.into()));
        self
    }

    /// Waits so long for an answer, in each attempt; 10 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.given.timeout = Some(timeout);
        self
    }

    /// Compresses requests, or does not. By default it does not.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.given.gzip = Some(gzip);
        self
    }

    /// Traces that part of the messages whose senders have not decided, 0 to 1. By default
    /// one in a hundred: see [`Tracing::ratio`].
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.given.ratio = Some(ratio);
        self
    }

    /// Pushes the figures so often; each minute by default.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.given.interval = Some(interval);
        self
    }

    /// Says something about the service: `deployment.environment.name`, say. The variables
    /// win.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.given.attributes.push((name.into(), value.into()));
        self
    }

    /// Sends the figures of the pipelines that this one looks after, and has it trace them.
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }

    /// Takes spans and events of your own up to that level; up to `INFO` by default.
    pub fn level(mut self, level: tracing::Level) -> Self {
        self.wanted.level = LevelFilter::from_level(level);
        self
    }

    /// Lets spans of your own that are outside of any trace begin one, as the sampler has it.
    /// By default only those inside of a traced message are taken.
    pub fn own_roots(mut self, own_roots: bool) -> Self {
        self.wanted.own_roots = own_roots;
        self
    }

    /// Leaves alone what the whole process shares: the `tracing` subscriber and
    /// OpenTelemetry's global provider and propagator. Take [`Otlp::layers`] then.
    pub fn without_globals(mut self) -> Self {
        self.install = false;
        self
    }

    /// Reads variables from there instead of the environment.
    pub fn variables(
        mut self,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.lookup = Arc::new(lookup);
        self
    }

    /// Begins to send.
    ///
    /// Inside of a tokio runtime the figures of that runtime are sent too; outside of one
    /// everything else works as well.
    ///
    /// # Errors
    /// Fails when values cannot be used, with all of them, or when the thread cannot be
    /// started. That nobody listens at the endpoint is no error.
    pub fn start(self) -> Result<Otlp, SetupError> {
        let config = Config::read(&self.given, &*self.lookup)?;
        let queues = queues(&config);
        let traces = config.traces.is_some();
        let traces = traces.then(|| provider(&config, &queues));
        let logs = config.logs.is_some().then(|| logger(&config, &queues));
        let monitor = monitor(self.monitor, traces.as_ref(), &config);
        let counted = queues.clone();
        monitor.show(move || counted.families());
        let globals = self.install.then(Globals::take).flatten();
        if globals.is_some() {
            set_globals(traces.as_ref(), &config);
        }
        let (warnings, printed) = (config.warnings.clone(), config.printed.clone());
        let sender = if config.is_off() {
            None
        } else {
            Some(sender(config, &queues, &monitor)?)
        };
        let mut otlp = Otlp {
            monitor,
            queues,
            traces,
            logs,
            wanted: self.wanted,
            sender,
            warnings,
            _globals: globals,
            installed: false,
        };
        otlp.installed = self.install && layers::install(otlp.layers(), printed);
        for warning in &otlp.warnings {
            tracing::warn!("{warning}");
        }
        Ok(otlp)
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("service", &self.given.service)
            .field("endpoint", &self.given.endpoint)
            .field("protocol", &self.given.protocol)
            .finish_non_exhaustive()
    }
}

/// The right to set what the whole process shares; the first has it until it is dropped.
#[derive(Debug)]
pub(super) struct Globals(());

static TAKEN: AtomicBool = AtomicBool::new(false);

impl Globals {
    fn take() -> Option<Self> {
        (!TAKEN.swap(true, Relaxed)).then_some(Self(()))
    }
}

impl Drop for Globals {
    fn drop(&mut self) {
        TAKEN.store(false, Relaxed);
    }
}

fn queues(config: &Config) -> Queues {
    Queues {
        spans: Arc::new(Queue::new(config.spans)),
        logs: Arc::new(Queue::new(config.records)),
        figures: Arc::new(Queue::new(config.pushes)),
    }
}

fn provider(config: &Config, queues: &Queues) -> SdkTracerProvider {
    SdkTracerProvider::builder()
        .with_resource(config.resource.clone())
        .with_sampler(Chosen::or(config.sampling.sampler()))
        .with_max_links_per_span(MAX_LINKS)
        .with_span_processor(Spans(Arc::clone(&queues.spans)))
        .build()
}

fn logger(config: &Config, queues: &Queues) -> SdkLoggerProvider {
    SdkLoggerProvider::builder()
        .with_resource(config.resource.clone())
        .with_log_processor(Logs(Arc::clone(&queues.logs)))
        .build()
}

/// `always_off` means nothing at all, also of messages whose senders want them traced.
fn monitor(monitor: Monitor, provider: Option<&SdkTracerProvider>, config: &Config) -> Monitor {
    let Some(provider) = provider.filter(|_| !config.sampling.is_off()) else {
        return monitor;
    };
    let tracing = Tracing::new(provider)
        .ratio(config.sampling.ratio)
        .max_links(MAX_LINKS);
    monitor.traced_by(match config.propagators[..] {
        [Propagator::TraceContext] => tracing,
        ref propagators => tracing.propagator(composite(propagators)),
    })
}

fn set_globals(provider: Option<&SdkTracerProvider>, config: &Config) {
    if let Some(provider) = provider {
        global::set_tracer_provider(provider.clone());
    }
    global::set_text_map_propagator(composite(&config.propagators));
}

fn sender(config: Config, queues: &Queues, monitor: &Monitor) -> Result<Sender, SetupError> {
    let runtime = Handle::try_current().ok();
    let figures = Figures::new(monitor.clone(), runtime, (&config.resource).into());
    let work = Work {
        queues: queues.clone(),
        traces: exporter("traces", config.traces)?,
        logs: exporter("logs", config.logs)?,
        metrics: exporter("metrics", config.metrics)?.map(|exporter| (exporter, figures)),
        resource: config.resource,
    };
    Sender::start(work).map_err(|source| SetupError::Thread { source })
}

fn exporter(signal: &'static str, target: Option<Target>) -> Result<Option<Exporter>, SetupError> {
    let transport = target.map(Transport::new).transpose();
    let transport = transport.map_err(|source| SetupError::Certificates { source })?;
    Ok(transport.map(|transport| Exporter::new(signal, transport)))
}
