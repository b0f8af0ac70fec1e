//! A receiver of OTLP that shares no protobuf types with us: it is written in Python.

use std::io::{self, BufRead, BufReader};
use std::process::ChildStdout;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::clock::Deadline;
use crate::guarded::{Guarded, Output};
use crate::not_here::{NotHere, is_unwanted};
use crate::places;

mod lines;

pub use lines::{
    Attributes, EventLine, LinkLine, LogLine, MetricLine, RequestLine, SpanLine, StatusLine,
};

const NAME: &str = "otlp";
const HELP: &str = "`cargo xtask services` puts the Python together that the OTLP receiver needs, \
                    OTLP_PYTHON names another one";

const SCRIPT: &str = include_str!("otlp_receiver.py");

/// How fast the receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it can.
    AtOnce,
    /// Each request so much later.
    After(Duration),
}

/// An OTLP receiver of one's own; it ends when dropped.
#[derive(Debug)]
pub struct OtlpReceiver {
    process: Option<Guarded>,
    reader: Option<JoinHandle<()>>,
    received: Arc<Received>,
    grpc: u64,
    http: u64,
}

/// What has come, in the order in which it came.
#[derive(Debug, Default)]
struct Received {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    spans: Vec<SpanLine>,
    metrics: Vec<MetricLine>,
    logs: Vec<LogLine>,
    requests: Vec<RequestLine>,
}

impl OtlpReceiver {
    /// Starts it on free ports, and returns when it receives.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not start.
    pub fn start() -> Result<Self, NotHere> {
        Self::start_at(Pace::AtOnce)
    }

    /// The same with another pace: what comes is there at once, and answered later.
    ///
    /// # Errors
    ///
    /// When it is not wanted, not there, or does not start.
    pub fn start_at(pace: Pace) -> Result<Self, NotHere> {
        if is_unwanted(NAME) {
            return Err(NotHere::Unwanted { server: NAME });
        }
        let python = places::OTLP_PYTHON.find()?.ok_or(NotHere::Missing {
            server: NAME,
            help: HELP,
        })?;
        let delay = match pace {
            Pace::AtOnce => Duration::ZERO,
            Pace::After(delay) => delay,
        };
        let command = [
            python.display().to_string(),
            "-c".to_owned(),
            SCRIPT.to_owned(),
            delay.as_secs_f64().to_string(),
        ];
        let process = TempDir::new()
            .and_then(|folder| Guarded::start(folder, &command, Output::Piped))
            .map_err(|source| NotHere::NotStarted {
                server: NAME,
                source,
            })?;
        Self::attach(process)
    }

    /// The address for OTLP by gRPC.
    #[must_use]
    pub fn grpc(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc)
    }

    /// The address for OTLP by HTTP, without `/v1/traces`.
    #[must_use]
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// All spans so far, once they are as wanted; as they are then, where they are not within
    /// this time.
    pub fn spans(&self, until: impl Fn(&[SpanLine]) -> bool, within: Duration) -> Vec<SpanLine> {
        self.await_lines(|lines| until(&lines.spans), within)
            .spans
            .clone()
    }

    /// The same of the points of metrics: each export brings a point of each again.
    pub fn metrics(
        &self,
        until: impl Fn(&[MetricLine]) -> bool,
        within: Duration,
    ) -> Vec<MetricLine> {
        self.await_lines(|lines| until(&lines.metrics), within)
            .metrics
            .clone()
    }

    /// The same of the records of logs.
    pub fn logs(&self, until: impl Fn(&[LogLine]) -> bool, within: Duration) -> Vec<LogLine> {
        self.await_lines(|lines| until(&lines.logs), within)
            .logs
            .clone()
    }

    /// The same of the requests that brought it all.
    pub fn requests(
        &self,
        until: impl Fn(&[RequestLine]) -> bool,
        within: Duration,
    ) -> Vec<RequestLine> {
        self.await_lines(|lines| until(&lines.requests), within)
            .requests
            .clone()
    }

    /// Ends it at once, answered or not. What has come stays.
    pub fn stop(&mut self) {
        self.process = None;
        if let Some(reader) = self.reader.take() {
            // It has nothing to say.
            drop(reader.join());
        }
    }

    /// What it complained of.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map_or_else(String::new, Guarded::log)
    }

    fn attach(mut process: Guarded) -> Result<Self, NotHere> {
        let mut output = BufReader::new(process.take_output().ok_or_else(|| no_answer(&process))?);
        let ports = first_line(&mut output).map_err(|_| no_answer(&process))?;
        let (Some(grpc), Some(http)) = (ports["grpc"].as_u64(), ports["http"].as_u64()) else {
            return Err(no_answer(&process));
        };
        let received = Arc::<Received>::default();
        let reader = thread::spawn({
            let received = Arc::clone(&received);
            move || received.read(output)
        });
        Ok(Self {
            process: Some(process),
            reader: Some(reader),
            received,
            grpc,
            http,
        })
    }

    fn await_lines(
        &self,
        until: impl Fn(&Lines) -> bool,
        within: Duration,
    ) -> MutexGuard<'_, Lines> {
        let deadline = Deadline::after(within);
        let mut lines = self.received.lock();
        while !until(&lines) && !deadline.left().is_zero() {
            let waited = self.received.more.wait_timeout(lines, deadline.left());
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        lines
    }
}

fn first_line(output: &mut impl BufRead) -> io::Result<Value> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

fn no_answer(process: &Guarded) -> NotHere {
    NotHere::NoAnswer {
        server: NAME,
        log: process.log(),
    }
}

impl Drop for OtlpReceiver {
    fn drop(&mut self) {
        self.stop();
    }
}

// === impl Received ===

impl Received {
    /// Until the receiver ends.
    fn read(&self, output: BufReader<ChildStdout>) {
        for line in output.lines().map_while(Result::ok) {
            // The receiver prints nothing else; what it may be cut off in is not used.
            if let Ok(line) = serde_json::from_str::<Value>(&line) {
                self.lock().add(&line);
                self.more.notify_all();
            }
        }
    }

    /// Whatever a condition that panicked has seen, it has changed nothing.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Lines ===

impl Lines {
    fn add(&mut self, line: &Value) {
        match line["signal"].as_str() {
            Some("span") => self.spans.push(SpanLine::read(line)),
            Some("metric") => self.metrics.push(MetricLine::read(line)),
            Some("log") => self.logs.push(LogLine::read(line)),
            _ => self.requests.push(RequestLine::read(line)),
        }
    }
}
