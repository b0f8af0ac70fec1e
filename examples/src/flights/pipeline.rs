//! The job as a pipeline.

use super::baseline;
use super::cli::Job;
use super::error::FlightsError;
use super::progress::Progress;
use super::summary::Finished;

/// Does the whole job, until the file ends or Ctrl-C is pressed.
///
/// # Errors
/// Fails if it cannot start. What ends it early is in [`Finished::failure`].
///
/// # Cancel safety
/// Not cancel safe.
pub async fn run(job: &Job, progress: Progress) -> Result<Finished, FlightsError> {
    // PLACEHOLDER until the engine is there: to be replaced by the wiring.
    progress.clear();
    let job = job.clone();
    let ended = tokio::task::spawn_blocking(move || baseline::run(&job)).await;
    ended.map_err(|error| FlightsError::Pipeline(error.into()))?
}
