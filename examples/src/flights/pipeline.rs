//! The job as a pipeline.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use towpath::core::Producer;
use towpath::producer::{Csv, CsvRow};
use towpath::{Batcher, Flow, Pipeline, Processor, SinkStage, Source};

use super::attend::attend;
use super::cli::Job;
use super::error::FlightsError;
use super::progress::Progress;
use super::record::{Flight, NAMES, decoder};
use super::reference::Tables;
use super::schema::Table;
use super::sinks::{LetterSink, Sinks, TableSink};
use super::summary::Finished;
use super::{DECODE, ENRICH};

/// A batch that is not full goes when its first flight has waited so long.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The whole job, stage by stage.
///
/// The rows that are refused anywhere go to `letters`, each as it was read.
pub fn pipeline(
    job: &Job,
    rows: Csv,
    tables: Arc<Tables>,
    store: &TableSink,
    letters: LetterSink,
) -> Pipeline {
    let enricher = job.enricher(tables);
    let enrich = Processor::service(ENRICH, enricher).unordered(job.concurrency.get());
    let batches = |name| {
        let batches = Batcher::new(name).max_messages(job.batch_size.get());
        batches.max_wait(MAX_WAIT).key(Flight::origin)
    };
    Flow::from(Source::new("rows", rows).keep_original())
        .decode(decoder())
        .filter("cancelled", |departure| !departure.is_cancelled())
        .process(enrich)
        .tee("tables", |tables| {
            tables
                .required("all", |flights| {
                    flights
                        .batch(batches("all by origin"))
                        .sink(store.stage(Table::Flights))
                })
                .required("late", |flights| {
                    flights
                        .filter("in time", Flight::is_late)
                        .batch(batches("late by origin"))
                        .sink(store.stage(Table::Late))
                })
        })
        .dead_letter(SinkStage::of("dead letters", letters))
        .named("flights")
}
