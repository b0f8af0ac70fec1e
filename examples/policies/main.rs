//! Run: `cargo run --release --example policies`
//!
//! Orders go to a service that dies again and again, with a rate limit, a retry, a circuit breaker
//! and a timeout in between. The service is simulated; `--help` says what can be set.

mod backend;
mod cli;
mod summary;

use std::convert::Infallible;
use std::future;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::time::sleep;
use towpath::prelude::*;
use towpath::{Event, EventKind, PipelineHandle, Running, shutdown_signal};

use backend::Backend;
use cli::{Cli, Format};
use summary::Summary;

/// Name of the stage that calls the service.
const CALL: &str = "call";
/// How long a drain may take.
const DRAIN: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<u8, BoxError> {
    let backend = Arc::new(Backend::new(cli));
    let pipeline = pipeline(cli, &backend);
    say(pipeline.topology());
    let report = attend(pipeline.start().await?, cli).await?;
    print(&Summary::of(&report, &backend), cli.report)?;
    Ok(report.exit_code())
}

fn pipeline(cli: &Cli, backend: &Arc<Backend>) -> Pipeline {
    let backend = backend.clone();
    let call = Processor::new(CALL, move |order| {
        let backend = backend.clone();
        async move { backend.call(order).await }
    });
    let retry = Retry::exponential(Duration::from_millis(10), Duration::from_millis(200));
    let breaker = CircuitBreaker::failure_rate(0.5)
        .over_calls(20)
        .open_for(Duration::from_millis(200));
    Flow::from(Source::iter("orders", 0..cli.messages))
        .process(
            call.unordered(32)
                .rate_limit(RateLimit::new(cli.rate))
                .retry(retry.seed(cli.seed))
                .circuit_breaker(breaker)
                .timeout(Duration::from_millis(100)),
        )
        .acknowledge()
        .named("policies")
        .drain_deadline(DRAIN)
        .observer(tell)
}

/// Waits for the end, changes the rate on the way, and drains on Ctrl-C.
async fn attend(running: Running, cli: &Cli) -> Result<Report, BoxError> {
    let handle = running.handle().clone();
    tokio::select! {
        report = running.join() => Ok(report?),
        changed = change_rate(&handle, cli) => match changed? {},
        never = drain_when_told(&handle) => match never {},
    }
}

async fn change_rate(handle: &PipelineHandle, cli: &Cli) -> Result<Infallible, BoxError> {
    sleep(cli.after()).await;
    handle.set_rate(CALL, cli.then.count().into(), cli.then.period())?;
    future::pending().await
}

async fn drain_when_told(handle: &PipelineHandle) -> Infallible {
    shutdown_signal().await;
    handle.drain();
    future::pending().await
}

/// Events are few: writing them down does not hold the pipeline up.
fn tell(event: &Event) {
    let at = event.at.as_secs_f64();
    match &event.kind {
        EventKind::BreakerChanged { from, to } => {
            say(format_args!("{at:6.3} s  breaker {from:?} -> {to:?}"));
        }
        EventKind::RateChanged { calls, per } => {
            say(format_args!(
                "{at:6.3} s  rate changed to {}",
                rate(*calls, *per)
            ));
        }
        EventKind::Draining => say(format_args!("{at:6.3} s  draining")),
        _ => {}
    }
}

fn rate(calls: u64, per: Duration) -> String {
    u32::try_from(calls).map_or_else(|_| calls.to_string(), |n| Rate::new(n, per).to_string())
}

fn print(summary: &Summary, format: Format) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => write!(out, "{summary}"),
        Format::Json => writeln!(out, "{}", serde_json::to_string(summary)?),
    }
}

/// Where nobody listens there is nobody to tell.
fn say(words: impl std::fmt::Display) {
    writeln!(std::io::stderr(), "{words}").unwrap_or_default();
}
