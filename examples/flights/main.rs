//! Run: `cargo run --release --example flights`
//!
//! A month of departures from New York, enriched and stored in SQLite; `--help` says what else.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use towpath::telemetry::otlp::{Otlp, Shutdown};
use towpath_examples::flights::cli::{Cli, Format};
use towpath_examples::flights::error::{FlightsError, chain};
use towpath_examples::flights::pipeline;
use towpath_examples::flights::progress::Progress;
use towpath_examples::flights::summary::{Finished, Summary};

/// How long the last traces and figures may take on their way.
const TO_SEND: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(finished) => finished.exit_code(),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<Finished, FlightsError> {
    let size = std::fs::metadata(&cli.job.input).map_or(0, |file| file.len());
    let otlp = cli.watch.start()?;
    let monitor = otlp.as_ref().map(Otlp::monitor);
    let finished = pipeline::run(&cli.job, Progress::on_terminal(size), monitor).await?;
    if let Some(otlp) = otlp {
        report_lost(&otlp.shutdown(TO_SEND).await);
    }
    print(&finished.summary, cli.report).map_err(FlightsError::Report)?;
    if let Some(failure) = &finished.failure {
        complain(failure);
    }
    Ok(finished)
}

fn print(summary: &Summary, format: Format) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match format {
        Format::Table => write!(out, "{summary}"),
        Format::Json => writeln!(out, "{}", serde_json::to_string(summary)?),
    }
}

/// Nobody has to look after the run for it to go well: what is lost is no failure.
fn report_lost(sent: &Shutdown) {
    // A collector that takes traces alone, as Jaeger does, has lost no logs and no figures.
    let lost = [
        (sent.spans.lost(), "spans"),
        (sent.logs.lost() - sent.logs.unwanted, "log records"),
        (
            sent.metrics.lost() - sent.metrics.unwanted,
            "pushes of figures",
        ),
    ];
    for (count, what) in lost {
        if count > 0 {
            writeln!(std::io::stderr(), "warning: {count} {what} were lost").unwrap_or_default();
        }
    }
}

fn complain(error: &FlightsError) {
    // Where nobody listens there is nobody to tell; the exit status says it too.
    writeln!(std::io::stderr(), "error: {}", chain(error)).unwrap_or_default();
}
