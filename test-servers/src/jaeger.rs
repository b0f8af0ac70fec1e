//! A Jaeger that keeps its traces in memory.

use std::path::Path;
use std::time::Duration;
use std::{io, iter};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clock::Deadline;
use crate::guarded::{Guarded, Output};
use crate::not_here::{NotHere, is_unwanted};
use crate::{http, places, ports};

const NAME: &str = "jaeger";
const HELP: &str = "`cargo xtask services` builds it with Go, JAEGER says where it is";

/// Until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A port that was free may be taken when Jaeger comes to it.
const ATTEMPTS: usize = 3;

/// Where everybody looks for OTLP by gRPC, OTLP by HTTP, and the query API.
const USUAL_PORTS: [u16; 3] = [4317, 4318, 16_686];

/// In microseconds, up to the year 2100; otherwise it looks back two days.
const ANY_TIME: &str = "start=1&end=4102444800000000";

/// No more than this many traces are kept, as in Jaeger's own all-in-one configuration.
const MOST_TRACES: u32 = 100_000;

/// A Jaeger of one's own; it ends when dropped.
#[derive(Debug)]
pub struct Jaeger {
    process: Guarded,
    /// `host:port` of OTLP by gRPC, OTLP by HTTP, and the query API.
    addresses: [String; 3],
}

impl Jaeger {
    /// Starts it on free ports, and returns when it answers.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn start() -> Result<Self, NotHere> {
        Self::start_on([0; 3])
    }

    /// The same on the ports where everybody looks for it, as far as they are free.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not answer.
    pub fn start_on_usual_ports() -> Result<Self, NotHere> {
        Self::start_on(USUAL_PORTS)
    }

    /// The address for OTLP by gRPC.
    #[must_use]
    pub fn otlp_grpc(&self) -> String {
        url(&self.addresses[0])
    }

    /// The address for OTLP by HTTP, without `/v1/traces`.
    #[must_use]
    pub fn otlp_http(&self) -> String {
        url(&self.addresses[1])
    }

    /// The address of its pages and of its API.
    #[must_use]
    pub fn query(&self) -> String {
        url(&self.addresses[2])
    }

    /// Where it writes what it has to say.
    #[must_use]
    pub fn log_path(&self) -> std::path::PathBuf {
        self.process.log_path()
    }

    /// The services of which it has spans.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn services(&self) -> io::Result<Vec<String>> {
        let names = self.data("/api/services")?;
        let names = names.iter().filter_map(Value::as_str);
        Ok(names.map(str::to_owned).collect())
    }

    /// A trace by its id in hex: `spans`, and `processes` by the names that the spans use.
    /// `None` where no span of it has arrived.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn trace(&self, id: &str) -> io::Result<Option<Value>> {
        let traces = self.data(&format!("/api/traces/{id}"))?;
        Ok(traces.into_iter().next())
    }

    /// Up to `limit` of the newest traces with spans of this service, whole.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn traces(&self, service: &str, limit: usize) -> io::Result<Vec<Value>> {
        let service = http::encoded(service);
        self.data(&format!(
            "/api/traces?service={service}&limit={limit}&{ANY_TIME}"
        ))
    }

    /// The traces of a service, once they are as wanted; as they are then, where they are not
    /// within this time.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub fn await_traces(
        &self,
        service: &str,
        until: impl Fn(&[Value]) -> bool,
        within: Duration,
    ) -> io::Result<Vec<Value>> {
        let all = || self.traces(service, 1_000);
        let wanted = Deadline::after(within).poll(|| match all() {
            Ok(traces) => until(&traces).then_some(Ok(traces)),
            Err(error) => Some(Err(error)),
        });
        wanted.unwrap_or_else(all)
    }

    /// Returns when it has ended by itself.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn wait(&mut self) -> io::Result<()> {
        self.process.wait()
    }

    fn start_on(preferred: [u16; 3]) -> Result<Self, NotHere> {
        if is_unwanted(NAME) {
            return Err(NotHere::Unwanted { server: NAME });
        }
        let program = places::JAEGER.find()?.ok_or(NotHere::Missing {
            server: NAME,
            help: HELP,
        })?;
        let mut last = String::new();
        for preferred in iter::once(preferred).chain([[0; 3]; ATTEMPTS - 1]) {
            match Self::attempt(&program, preferred).map_err(not_started)? {
                Ok(jaeger) => return Ok(jaeger),
                Err(log) => last = log,
            }
        }
        Err(NotHere::NoAnswer {
            server: NAME,
            log: last,
        })
    }

    /// The inner error is what Jaeger said.
    fn attempt(program: &Path, preferred: [u16; 3]) -> io::Result<Result<Self, String>> {
        let addresses = ports::preferring(preferred)?;
        let config = format!("yaml:{}", config(&addresses));
        let command = [program.display().to_string(), "--config".to_owned(), config];
        let process = Guarded::start(TempDir::new()?, &command, Output::Logged)?;
        let mut jaeger = Self { process, addresses };
        let answers = Deadline::after(PATIENCE).poll(|| {
            let answers = jaeger.services().is_ok();
            (answers || jaeger.process.has_ended()).then_some(answers)
        });
        if answers == Some(true) {
            Ok(Ok(jaeger))
        } else {
            Ok(Err(jaeger.process.log()))
        }
    }

    fn data(&self, path: &str) -> io::Result<Vec<Value>> {
        let answer = http::get(&format!("{}{path}", self.query()))?;
        let mut body: Value = serde_json::from_str(&answer.body)?;
        Ok(match body["data"].take() {
            Value::Array(data) => data,
            _ => Vec::new(),
        })
    }
}

fn url(address: &str) -> String {
    format!("http://{address}")
}

fn not_started(source: io::Error) -> NotHere {
    NotHere::NotStarted {
        server: NAME,
        source,
    }
}

/// All ports are given, those of what nobody asks included: several run side by side. It traces
/// not itself, which would end up with whoever has the usual port.
fn config([grpc, http, query]: &[String; 3]) -> Value {
    json!({
        "service": {
            "extensions": ["jaeger_storage", "jaeger_query"],
            "pipelines": {"traces": {
                "receivers": ["otlp"],
                "exporters": ["jaeger_storage_exporter"],
            }},
            "telemetry": {"metrics": {"level": "none"}},
        },
        "extensions": {
            "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": MOST_TRACES}}}},
            "jaeger_query": {
                "storage": {"traces": "memory"},
                "enable_tracing": false,
                "http": {"endpoint": query},
                "grpc": {"endpoint": "127.0.0.1:0"},
            },
        },
        "receivers": {"otlp": {"protocols": {
            "grpc": {"endpoint": grpc},
            "http": {"endpoint": http},
        }}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
    })
}
