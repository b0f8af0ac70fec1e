//! `cargo xtask trace-picture`: draws what Jaeger answers about a trace.
//!
//! Without arguments it renews the picture in the documentation: it starts a Jaeger, runs the
//! example `journey` against it, asks for two of its traces, and draws them.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use towpath_test_servers::{Jaeger, http};

use crate::cargo;
use crate::error::chain;
use crate::services;

mod detail;
mod draw;
mod scale;
mod trace;

use trace::Trace;

/// The picture in the documentation.
const PICTURE: &str = "docs/observability/trace.svg";

const SERVICE: &str = "journey";
const EXAMPLE: [&str; 6] = ["run", "--quiet", "--example", SERVICE, "--", "--otlp"];

/// Until Jaeger has all spans that were sent.
const PATIENCE: Duration = Duration::from_secs(20);

/// Renews the picture in the documentation.
pub(crate) fn renew(root: &Path) -> ExitCode {
    let picture = root.join(PICTURE);
    finished(journey(root).and_then(|traces| write(&picture, &traces)))
}

/// Draws the trace at this address of Jaeger's API into this file.
pub(crate) fn run(address: &str, file: &str) -> ExitCode {
    finished(ask(address).and_then(|traces| write(Path::new(file), &traces)))
}

fn finished(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("trace-picture: {why}");
            ExitCode::FAILURE
        }
    }
}

fn write(file: &Path, traces: &[Trace]) -> Result<(), String> {
    let cannot = |error| format!("cannot write {}: {error}", file.display());
    std::fs::write(file, draw::svg(traces)).map_err(cannot)?;
    println!("{}", file.display());
    Ok(())
}

/// Two traces of the example: the one it points to, and that of the dead letter.
fn journey(root: &Path) -> Result<Vec<Trace>, String> {
    services::provide_jaeger().map_err(|missing| chain(&missing))?;
    let jaeger = Jaeger::start().map_err(|error| chain(&error))?;
    let said = example(root, &jaeger.otlp_http())?;
    let wanted = spans_sent(&said).ok_or("the example does not say how many spans it sent")?;
    let all_there = |traces: &[Value]| trace::spans_of(traces) >= wanted;
    let traces = jaeger.await_traces(SERVICE, all_there, PATIENCE);
    let traces = traces.map_err(|error| error.to_string())?;
    let found = trace::spans_of(&traces);
    if found != wanted || wanted == 0 {
        return Err(format!("{wanted} spans were sent, Jaeger has {found}"));
    }
    let picked = picked(&said);
    let picked = picked.iter().filter_map(|id| Trace::find(&traces, id));
    Ok(picked.collect())
}

fn example(root: &Path, collector: &str) -> Result<String, String> {
    let mut command = cargo::cargo(root, &EXAMPLE);
    command.arg(collector);
    // What is logged and sent is that of the example, whatever this shell has.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_telemetry(name)) {
        command.env_remove(name);
    }
    // Jaeger takes traces and nothing else.
    command.envs(["OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"].map(|name| (name, "none")));
    let (status, said) = cargo::run_captured(&mut command).map_err(|error| chain(&error))?;
    if status.success() {
        Ok(said)
    } else {
        Err(format!("the example ended with {status}"))
    }
}

fn is_about_telemetry(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with("OTEL_")
}

/// From the line `61 spans sent to http://..`.
fn spans_sent(said: &str) -> Option<usize> {
    let mut lines = said.lines();
    lines.find_map(|line| line.split_once(" spans sent to ")?.0.parse().ok())
}

/// The trace of the first order, and that of the one that was rejected.
fn picked(said: &str) -> Vec<&str> {
    let lines = said.lines().filter_map(|line| line.split_once("  trace "));
    let lines: Vec<_> = lines.collect();
    let rejected = lines.iter().find(|(order, _)| order.contains("rejected"));
    let picked = lines.first().into_iter().chain(rejected);
    picked.map(|(_, id)| id.trim()).collect()
}

fn ask(address: &str) -> Result<Vec<Trace>, String> {
    // The address of the page is as good.
    let api = address.replace(":16686/trace/", ":16686/api/traces/");
    let answer = http::get(&api).map_err(|error| format!("{api}: {error}"))?;
    let answer: Value = serde_json::from_str(&answer.body)
        .map_err(|_| format!("{api} is no answer of Jaeger's API"))?;
    let traces = answer["data"].as_array().cloned().unwrap_or_default();
    let trace = traces.first().and_then(Trace::read);
    trace
        .map(|trace| vec![trace])
        .ok_or_else(|| format!("{api}: no such trace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
order-0  done      trace 0af7
order-1  done      trace 1bf8
order-2  rejected  trace 2cf9
31 spans sent to http://127.0.0.1:4317, 0 lost
";

    #[test]
    fn the_first_order_and_the_rejected_one_are_drawn() {
        assert_eq!(picked(SAID), ["0af7", "2cf9"]);
        assert_eq!(spans_sent(SAID), Some(31));
        assert!(picked("nothing was traced").is_empty());
    }

    #[test]
    fn where_nobody_answers_the_address_is_named() {
        let why = ask("http://127.0.0.1:1/trace/0").unwrap_err();
        assert!(why.starts_with("http://127.0.0.1:1/"), "{why}");
    }
}
