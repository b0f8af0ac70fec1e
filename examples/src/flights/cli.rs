//! What can be said on the command line.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, ValueEnum};
use towpath::telemetry::otlp::{Otlp, Setup};

use super::enrich::{Enricher, Latency};
use super::error::FlightsError;
use super::reference::{TableError, Tables};

/// Reads departures, adds what is known about airline, plane and destination, and stores them.
///
/// Without arguments it reads the bundled month: New York, January 2013.
#[derive(Debug, Parser)]
#[command(name = "flights")]
pub struct Cli {
    /// What to do.
    #[command(flatten)]
    pub job: Job,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub report: Format,
    /// Where to send traces and figures.
    #[command(flatten)]
    pub watch: Watch,
}

/// How to print the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One line of JSON.
    Json,
}

/// Who looks after the run.
#[derive(Debug, Clone, Default, Args)]
pub struct Watch {
    /// Sends traces, figures and logs to this collector, `http://127.0.0.1:4317` say.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Traces this part of the flights, 0 to 1; one in a hundred unless the environment says
    /// otherwise.
    #[arg(long, value_name = "PART", requires = "otlp")]
    pub traced: Option<f64>,
}

/// What to read, what to write and how fast.
#[derive(Debug, Clone, Args)]
pub struct Job {
    /// Departures, as CSV or gzip of it.
    #[arg(long, value_name = "FILE", default_value_os_t = bundled("nyc-flights-2013-01.csv.gz"), hide_default_value = true)]
    pub input: PathBuf,
    /// Table of airlines, as CSV.
    #[arg(long, value_name = "FILE", default_value_os_t = bundled("airlines.csv"), hide_default_value = true)]
    pub airlines: PathBuf,
    /// Table of planes, as CSV.
    #[arg(long, value_name = "FILE", default_value_os_t = bundled("planes.csv"), hide_default_value = true)]
    pub planes: PathBuf,
    /// Table of airports, as CSV.
    #[arg(long, value_name = "FILE", default_value_os_t = bundled("airports.csv"), hide_default_value = true)]
    pub airports: PathBuf,
    /// SQLite database to write, created if missing.
    #[arg(long, value_name = "FILE", default_value = "flights.sqlite")]
    pub database: PathBuf,
    /// Rows that were refused, as NDJSON; overwritten.
    #[arg(long, value_name = "FILE", default_value = "flights-dead.ndjson")]
    pub dead_letters: PathBuf,
    /// A look-up takes a random time up to this; 0 is none.
    #[arg(long, value_name = "MS", default_value_t = 2, value_parser = RangedU64ValueParser::<u64>::new().range(..=60_000))]
    pub latency: u64,
    /// Look-ups at the same time.
    #[arg(long, value_name = "COUNT", default_value = "64", value_parser = count)]
    pub concurrency: NonZeroUsize,
    /// Rows in one transaction.
    #[arg(long, value_name = "ROWS", default_value = "1000", value_parser = count)]
    pub batch_size: NonZeroUsize,
    /// Makes the random latencies the same again.
    #[arg(long, value_name = "NUMBER", default_value_t = 2013)]
    pub seed: u64,
}

/// More at once would be no test of anything but memory.
const MOST: usize = 100_000;

/// Path of a bundled file.
pub fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

fn count(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse::<NonZeroUsize>().map_err(|e| e.to_string())?;
    if number.get() > MOST {
        return Err(format!("at most {MOST}"));
    }
    Ok(number)
}

// === impl Watch ===

impl Watch {
    /// Begins to send, where there is somebody to send to.
    ///
    /// # Errors
    /// Fails for an address, a part or a variable that makes no sense.
    pub fn start(&self) -> Result<Option<Otlp>, FlightsError> {
        let Some(endpoint) = &self.otlp else {
            return Ok(None);
        };
        let mut setup = Setup::new("flights").endpoint(endpoint);
        if let Some(part) = self.traced {
            setup = setup.ratio(part);
        }
        Ok(Some(setup.start()?))
    }
}

// === impl Job ===

impl Job {
    /// The bundled month with the defaults, written to these files.
    pub fn bundled(database: PathBuf, dead_letters: PathBuf) -> Self {
        let defaults = Cli::parse_from(["flights"]).job;
        Self {
            database,
            dead_letters,
            ..defaults
        }
    }

    /// Refuses to overwrite what it reads, and to write two things into one file.
    ///
    /// # Errors
    /// Fails with the first file that is named twice.
    pub fn check(&self) -> Result<(), FlightsError> {
        let read = [&self.input, &self.airlines, &self.planes, &self.airports];
        let against_database = read.into_iter().chain([&self.dead_letters]);
        let pairs = against_database
            .map(|path| (path, &self.database))
            .chain(read.into_iter().map(|path| (path, &self.dead_letters)));
        for (path, written) in pairs {
            if is_same_file(path, written) {
                let path = path.clone();
                return Err(FlightsError::SameFile { path });
            }
        }
        Ok(())
    }

    /// Loads the tables of reference.
    ///
    /// # Errors
    /// Fails with the file, and with line and column where a value is wrong.
    pub fn tables(&self) -> Result<Arc<Tables>, TableError> {
        Tables::load(&self.airlines, &self.planes, &self.airports).map(Arc::new)
    }

    /// The look-up service over these tables, with the latency asked for.
    pub fn enricher(&self, tables: Arc<Tables>) -> Enricher {
        let max = Duration::from_millis(self.latency);
        Enricher::new(tables, Latency::up_to(max, self.seed))
    }
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    // A file that is not there yet has no canonical path; then the names decide.
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests;
