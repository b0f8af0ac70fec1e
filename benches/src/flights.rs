//! The example `flights` without its artificial latency, beside the same job as one loop.
//!
//! Both parse with the same functions and write the same transactions, into a new database
//! each time.

use std::io;
use std::path::Path;

use tokio::runtime::Runtime;
use towpath_examples::flights::cli::Job as Work;
use towpath_examples::flights::error::FlightsError;
use towpath_examples::flights::progress::Progress;
use towpath_examples::flights::summary::{Finished, Summary};
use towpath_examples::flights::{baseline, pipeline};

use crate::case::Job;
use crate::measure::Figures;
use crate::measure::clock::time;
use crate::measure::rounds::{Timing, interleave, timing};
use crate::report::{JobReport, Row};

/// What the bundled month must come to: read, dropped, rejected, delivered, late.
const MONTH: [u64; 5] = [ROWS as u64, 521, 679, 25_804, 5_907];

const ROWS: u32 = 27_004;

type Run = fn(&Runtime, &Work) -> Result<Finished, FlightsError>;

const CONTENDERS: [(&str, Run); 2] = [
    ("towpath", |runtime, work| {
        runtime.block_on(pipeline::run(work, Progress::none(), None))
    }),
    ("by-hand", |_, work| baseline::run(work)),
];

/// The example could not be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlightsBenchError {
    /// No directory for the database.
    #[error("there is no place for a database")]
    Directory(#[from] io::Error),
    /// A contender failed.
    #[error("{contender} failed")]
    Failed {
        /// Who.
        contender: &'static str,
        /// Why.
        source: FlightsError,
    },
    /// A contender came to other counts than the month has.
    #[error("{contender} did not come to the counts of the month: {summary:?}")]
    Counts {
        /// Who.
        contender: &'static str,
        /// What it came to.
        summary: Box<Summary>,
    },
}

/// Measures both, interleaved.
///
/// # Errors
/// Fails when one of them fails or comes to other counts than the month has.
pub fn compare(rounds: u32, runtime: &Runtime) -> Result<JobReport, FlightsBenchError> {
    let timings = interleave(CONTENDERS.len(), rounds, |position| {
        sample(position, runtime)
    })?;
    let rows = CONTENDERS
        .iter()
        .zip(timings)
        .map(|(&(contender, _), timing)| Row {
            job: Job::Flights,
            contender,
            figures: Figures {
                wall_ns: timing.wall_ns,
                cpu_ns: timing.cpu_ns,
                ..Figures::default()
            },
        });
    Ok(JobReport {
        job: Job::Flights,
        rows: rows.collect(),
    })
}

fn sample(position: usize, runtime: &Runtime) -> Result<Timing, FlightsBenchError> {
    let (contender, run) = CONTENDERS[position];
    let directory = tempfile::tempdir()?;
    let work = work(directory.path());
    let (finished, spent) = time(|| run(runtime, &work));
    let Finished { summary, failure } =
        finished.map_err(|source| FlightsBenchError::Failed { contender, source })?;
    if let Some(source) = failure {
        return Err(FlightsBenchError::Failed { contender, source });
    }
    check(contender, summary)?;
    Ok(timing(spent, ROWS))
}

fn work(directory: &Path) -> Work {
    let database = directory.join("flights.sqlite");
    Work {
        latency: 0,
        ..Work::bundled(database, directory.join("dead.ndjson"))
    }
}

fn check(contender: &'static str, summary: Summary) -> Result<(), FlightsBenchError> {
    let Summary {
        read,
        dropped,
        rejected,
        delivered,
        late,
        ..
    } = summary;
    if [read, dropped, rejected, delivered, late] == MONTH {
        return Ok(());
    }
    Err(FlightsBenchError::Counts {
        contender,
        summary: Box::new(summary),
    })
}
