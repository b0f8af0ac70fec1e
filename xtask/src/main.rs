//! The commands of this repository, run as `cargo xtask <command>`.
//!
//! `main` picks the command; each command is one module of the same name.

mod bench;
mod cargo;
mod error;
mod jaeger;
mod kill_test;
mod markdown;
mod services;
mod test;
mod tidy;
mod trace_picture;
mod workspace;

use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <command>

Commands:
  test                     everything that must pass: format, tidy, lints, tests, docs, examples
  tidy                     the house rules alone: dependency edges, documents, source files
  services                 puts the servers in place that tests start, and starts none: NATS,
                           PostgreSQL, Redis, Prometheus and OpenSSL with apt-get, as root or with
                           sudo; Kafka by Maven, Jaeger, built with Go, and a Python for the OTLP
                           receiver in a cache folder
  jaeger                   a Jaeger that keeps its traces in memory, until Ctrl-C
  trace-picture            renews docs/observability/trace.svg: runs the example `journey` against
                           a Jaeger of its own, and draws two of its traces
  trace-picture URL FILE   draws the trace at URL, http://127.0.0.1:16686/api/traces/ID, as SVG
  bench [--gate] [--json]  the measurements; --gate fails when a limit is passed,
                           --json prints one line of JSON per benchmark
  bench --connectors [--json]
                           what the connectors cost beside loops by hand, on servers of its own
  kill-test --route R --kills N --seed S
                           kills pipelines and servers at random moments and counts what arrives,
                           as one line of JSON; R is sqlite, nats, kafka or postgres
";

const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let root = workspace::root();
    dispatch(&root, &words)
}

fn dispatch(root: &Path, words: &[&str]) -> ExitCode {
    match words {
        ["test"] => test::run(root),
        ["tidy"] => tidy::run(root),
        ["services"] => services::run(root),
        ["jaeger"] => jaeger::run(),
        ["trace-picture"] => trace_picture::renew(root),
        ["trace-picture", address, file] => trace_picture::run(address, file),
        ["bench", rest @ ..] if bench::takes(rest) => bench::run(root, rest),
        ["kill-test", flags @ ..] => kill_test::run(root, flags),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        _ => usage_error(words),
    }
}

fn usage_error(words: &[&str]) -> ExitCode {
    if !words.is_empty() {
        eprintln!("not a command: {}\n", words.join(" "));
    }
    eprint!("{HELP}");
    ExitCode::from(USAGE_ERROR)
}
