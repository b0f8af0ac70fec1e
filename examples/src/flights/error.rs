//! Why the job cannot start, or ended early.

use std::error::Error;
use std::path::PathBuf;

use towpath::telemetry::otlp::SetupError;
use towpath::{BoxError, BuildError, Ending, RunError};

use super::dead_letters::DeadLetterError;
use super::input::InputError;
use super::reference::TableError;
use super::store::StoreError;

/// Everything that stops the job; a row that is wrong does not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlightsError {
    /// The departures cannot be read.
    #[error("cannot read the departures")]
    Departures(#[source] BoxError),
    /// The departures, or a table of reference, cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A table of reference cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The database cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file of dead letters cannot be written.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
    /// The same file would be read and overwritten, or written twice.
    #[error("`{}` is named twice: it would be overwritten", path.display())]
    SameFile {
        /// The file.
        path: PathBuf,
    },
    /// Traces and figures cannot be sent as asked.
    #[error(transparent)]
    Watch(#[from] SetupError),
    /// The report cannot be printed.
    #[error("cannot print the report")]
    Report(#[source] std::io::Error),
    /// The pipeline cannot start.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The pipeline did not come to its end.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The pipeline came to its end, and left something over.
    #[error("the pipeline {0}")]
    Ended(Ending),
}

/// An error and its causes in one line, each after a colon.
pub fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
