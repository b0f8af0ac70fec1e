//! `cargo xtask jaeger`: a Jaeger for a developer, until Ctrl-C.

use std::process::ExitCode;

use towpath_test_servers::{Jaeger, NotHere};

use crate::error::chain;
use crate::services;

/// Runs it in the foreground; where it is nowhere, it is built first.
pub(crate) fn run() -> ExitCode {
    let started = match services::provide_jaeger() {
        Ok(_) => Jaeger::start_on_usual_ports(),
        Err(missing) => return failed(&chain(&missing)),
    };
    match started {
        Ok(mut jaeger) => stay(&mut jaeger),
        Err(NotHere::Unwanted { .. }) => failed("TOWPATH_WITHOUT_SERVERS is set"),
        Err(error) => failed(&chain(&error)),
    }
}

/// Ctrl-C ends this program, and with it Jaeger.
fn stay(jaeger: &mut Jaeger) -> ExitCode {
    print!("{}", greeting(jaeger));
    let ended = jaeger.wait();
    let log = jaeger.log_path();
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let last = said.lines().last().unwrap_or_default();
    match ended {
        Ok(()) => failed(&format!("it has ended: {last}")),
        Err(error) => failed(&error.to_string()),
    }
}

fn greeting(jaeger: &Jaeger) -> String {
    let (grpc, http, query) = (jaeger.otlp_grpc(), jaeger.otlp_http(), jaeger.query());
    format!(
        "\
pages and API     {query}
OTLP by gRPC      {grpc}
OTLP by HTTP      {http}
what it says      {}

It takes traces only, and keeps them in memory, until Ctrl-C. In another terminal:

  cargo run --release --example flights -- --otlp {grpc}
  curl '{query}/api/services'

Built from Go's proxy it has no pages, but all of the API; with a Jaeger named in JAEGER, whatever
that one has.
",
        jaeger.log_path().display()
    )
}

fn failed(why: &str) -> ExitCode {
    eprintln!("jaeger: {why}");
    ExitCode::FAILURE
}
