//! Run: `cargo run -p towpath-examples --features kafka,nats,sqlite --example fleet -- --help`
//!
//! One program, started as many times as you like: the members of a fleet share the tasks of a
//! stream or of a topic. Each writes down what it has worked, in a book that all of them share.
//!
//! ```text
//! fleet fill --source nats --address nats://127.0.0.1:4222 --tasks 1000
//! fleet work --source nats --address nats://127.0.0.1:4222 --member a    # in one terminal
//! fleet work --source nats --address nats://127.0.0.1:4222 --member b    # in another
//! fleet show
//! ```

mod book;
mod cli;
mod kafka;
mod nats;
mod task;
mod work;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use towpath::BoxError;

use cli::{Cli, Command, Fill, Show, SourceKind};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(format_args!("error: {}", chain(&*error)));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<u8, BoxError> {
    match &cli.command {
        Command::Fill(options) => fill(options).await,
        Command::Work(options) => work::run(options).await,
        Command::Show(options) => show(options),
    }
}

/// Makes the stream or the topic where there is none, and puts tasks in.
async fn fill(options: &Fill) -> Result<u8, BoxError> {
    let report = match options.place.source {
        SourceKind::Nats => nats::fill(options).await?,
        SourceKind::Kafka => kafka::fill(options).await?,
    };
    let done = report.counts.done;
    writeln!(std::io::stdout(), "{done} tasks are waiting")?;
    Ok(report.exit_code())
}

fn show(options: &Show) -> Result<u8, BoxError> {
    let mut out = std::io::stdout().lock();
    for share in book::shares(&options.book)? {
        writeln!(out, "{share}")?;
    }
    Ok(0)
}

/// The error and its causes, on one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let levels: Vec<String> = causes.map(ToString::to_string).collect();
    levels.join(": ")
}

/// Where nobody listens there is nobody to tell; the exit status says it too.
fn complain(words: std::fmt::Arguments<'_>) {
    writeln!(std::io::stderr(), "{words}").unwrap_or_default();
}
