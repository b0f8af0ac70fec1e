//! Run: `cargo run --release --example journey -- --otlp http://127.0.0.1:4317`
//!
//! Four orders go through a small shop, and each of them has a trace: one is tried three times, one
//! becomes a dead letter. It says where to look for the traces, and ends.

mod cli;
mod orders;
mod shop;
mod told;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use towpath::prelude::*;
use towpath::telemetry::otlp::Shutdown;

use cli::Cli;
use told::Told;

/// How long the last spans may take on their way.
const TO_SEND: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("error: {}", chain(&*error)));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<(), BoxError> {
    let (otlp, told) = (cli.telemetry()?, Told::default());
    let mut pipeline = shop::pipeline(&told);
    if let Some(otlp) = &otlp {
        pipeline = pipeline.telemetry(otlp.monitor());
    }
    pipeline.run().await?;
    let sent = match otlp {
        Some(otlp) => Some(otlp.shutdown(TO_SEND).await),
        None => None,
    };
    print(cli, &told, sent.as_ref())?;
    Ok(())
}

fn print(cli: &Cli, told: &Told, sent: Option<&Shutdown>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    write!(out, "{told}")?;
    let (Some(sent), Some(url)) = (sent, &cli.otlp) else {
        return writeln!(
            out,
            "nothing was traced: --otlp URL says where to send traces"
        );
    };
    let (spans, lost) = (sent.spans.sent, sent.spans.lost());
    writeln!(out, "{spans} spans sent to {url}, {lost} lost")?;
    match cli.page(told) {
        Some(page) if spans > 0 => writeln!(out, "the journey of order-0: {page}"),
        _ => Ok(()),
    }
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
