//! The job as a pipeline.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use towpath::core::Producer;
use towpath::producer::Csv;
use towpath::telemetry::Monitor;
use towpath::{Batcher, Flow, Pipeline, Processor, Source};

use super::ENRICH;
use super::attend::attend;
use super::cli::Job;
use super::enrich::Enricher;
use super::error::FlightsError;
use super::progress::Progress;
use super::record::{Departure, Flight, NAMES, decoder};
use super::schema::Table;
use super::sinks::Sinks;
use super::summary::Finished;

/// A batch that is not full goes when its first flight has waited so long.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The job, stage by stage.
pub fn pipeline(job: &Job, rows: Csv, enricher: Enricher, sinks: Sinks) -> Pipeline {
    let enricher = Arc::new(enricher);
    let enrich = Processor::new(ENRICH, move |departure: Departure| {
        let enricher = enricher.clone();
        async move { enricher.lookup(departure).await }
    });
    let batches = |name| {
        Batcher::new(name)
            .max_messages(job.batch_size.get())
            .max_wait(MAX_WAIT)
            .key(|flight: &Arc<Flight>| flight.origin())
    };
    Flow::from(Source::new("rows", rows).keep_original())
        .decode(decoder())
        .filter("cancelled", |departure| !departure.is_cancelled())
        .process(enrich.unordered(job.concurrency.get()))
        // A late flight goes into both tables.
        .map(Arc::new)
        .tee("tables", |tables| {
            tables
                .required("all", |flights| {
                    flights
                        .batch(batches("by origin"))
                        .sink(sinks.table(Table::Flights))
                })
                .required("late", |flights| {
                    flights
                        .filter("in time", |flight| flight.is_late())
                        .batch(batches("late by origin"))
                        .sink(sinks.table(Table::Late))
                })
        })
        .dead_letter(sinks.letters())
        .named("flights")
}

/// Does the whole job, until the file ends or Ctrl-C is pressed.
///
/// # Errors
/// Fails if it cannot start. What ends it early is in [`Finished::failure`].
///
/// # Cancel safety
/// Not cancel safe: what is in flight is lost.
pub async fn run(
    job: &Job,
    progress: Progress,
    monitor: Option<Monitor>,
) -> Result<Finished, FlightsError> {
    let started = Instant::now();
    job.check()?;
    let mut rows = Csv::new(&job.input).require_columns(NAMES);
    rows.open().await.map_err(FlightsError::Departures)?;
    let enricher = job.enricher(job.tables()?);
    // Nothing is made before everything that is read is there.
    let (sinks, troubles) = Sinks::create(job)?;
    let (store, read) = (sinks.store(), rows.progress());
    let mut pipeline = pipeline(job, rows, enricher, sinks);
    if let Some(monitor) = monitor {
        pipeline = pipeline.telemetry(monitor);
    }
    let running = pipeline.start().await?;
    let (report, failure) = attend(running, progress, read, troubles).await?;
    // Nothing else runs any more, so that closing may block.
    let stored = store.close();
    Ok(Finished::of(&report, stored, failure, started.elapsed()))
}
