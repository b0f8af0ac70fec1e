//! One pipeline process: a source, some work, a sink.

mod lingering;
mod sinks;
mod sources;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use towpath::core::Producer;
use towpath::prelude::*;
use towpath::processor::Operator;
use towpath::{Event, PipelineHandle, Running};

use lingering::Lingering;

use crate::cli::{Pipe, SinkKind, SourceKind, StoreKind};
use crate::journal::{Journal, Place};
use crate::payload::Row;

/// How often what the source has confirmed is written down.
const SAMPLE: Duration = Duration::from_millis(2);

/// A batch is written when it holds so many rows, or is so old.
const BATCH: usize = 20;
const MAX_WAIT: Duration = Duration::from_millis(40);

/// How many rows are worked on at once, and for how long at most.
const AT_ONCE: usize = 16;
const WORK_MILLIS: u64 = 20;

/// How long the drain at the end may take.
const DRAIN: Duration = Duration::from_secs(45);

/// Runs until the input ends, and drains then.
pub(crate) fn run(options: &Pipe) -> Result<(), BoxError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let done = runtime.block_on(attend(options));
    // The thread that reads the input may still wait for it.
    runtime.shutdown_background();
    done
}

async fn attend(options: &Pipe) -> Result<(), BoxError> {
    let journal = Arc::new(Journal::create(&Place::new(options.journal.clone()))?);
    let running = pipeline(options, &journal)?.start().await?;
    let handle = running.handle().clone();
    let report = tokio::select! {
        report = drained(running) => report?,
        failed = sample(&handle, &journal) => return Err(failed.into()),
    };
    journal.tell(told(&handle))?;
    if report.exit_code() == 0 {
        Ok(())
    } else {
        Err(report.to_string().into())
    }
}

/// Waits for the end of the input and drains then.
async fn drained(running: Running) -> Result<Report, BoxError> {
    let handle = running.handle().clone();
    let mut join = std::pin::pin!(running.join());
    tokio::select! {
        report = &mut join => return Ok(report?),
        ended = input_end() => ended?,
    }
    handle.drain();
    Ok(join.await?)
}

async fn input_end() -> io::Result<()> {
    let mut input = tokio::io::stdin();
    while input.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

/// Ends only where the journal cannot be written.
async fn sample(handle: &PipelineHandle, journal: &Journal) -> io::Error {
    let mut every = tokio::time::interval(SAMPLE);
    let mut last = 0;
    loop {
        every.tick().await;
        let told = told(handle);
        if told != last
            && let Err(error) = journal.tell(told)
        {
            return error;
        }
        last = told;
    }
}

fn told(handle: &PipelineHandle) -> u64 {
    let sources = handle.status().sources;
    sources.iter().map(|source| source.settled.confirmed).sum()
}

fn pipeline(options: &Pipe, journal: &Arc<Journal>) -> Result<Pipeline, BoxError> {
    let from = options.from.as_str();
    match options.route {
        SourceKind::Sqlite => into_store(options, journal, sources::sqlite(from)?),
        SourceKind::Nats => into_store(options, journal, sources::nats(from)?),
        SourceKind::Kafka => into_store(options, journal, sources::kafka(from)?),
        SourceKind::Postgres => into_store(options, journal, sources::postgres(from)?),
    }
}

fn into_store<P>(options: &Pipe, journal: &Arc<Journal>, source: P) -> Result<Pipeline, BoxError>
where
    P: Producer,
    P::Payload: AsRef<[u8]> + serde::Serialize + Sync,
{
    let to = options.to.as_str();
    let journal = journal.clone();
    let rows = Flow::from(Source::new("source", source))
        .decode(|raw: &P::Payload| serde_json::from_slice::<Row>(raw.as_ref()))
        .inspect(move |row| write_down(&journal, row));
    Ok(match options.store {
        StoreKind::Sqlite => into_sink(options, rows, sinks::sqlite(to, options.sink)?),
        StoreKind::Postgres => into_sink(options, rows, sinks::postgres(to, options.sink)?),
    })
}

fn into_sink<O, S>(options: &Pipe, rows: Flow<O>, sink: S) -> Pipeline
where
    O: Operator<Out = Row>,
    S: Sink<Row>,
{
    if options.fault.acknowledge_early {
        return end(rows.acknowledge_now(|_| true), sink);
    }
    end(rows, sink).require(match options.sink {
        SinkKind::Insert => Guarantee::AtLeastOnce,
        SinkKind::Upsert | SinkKind::Once => Guarantee::EffectivelyOnce,
    })
}

fn end<O: Operator<Out = Row>>(rows: Flow<O>, sink: impl Sink<Row>) -> Pipeline {
    rows.process(Processor::new("work", work).unordered(AT_ONCE))
        .batch(Batcher::new("batch").max_messages(BATCH).max_wait(MAX_WAIT))
        .sink(SinkStage::of::<Row>("store", Lingering(sink)))
        .named("kill-test")
        .drain_deadline(DRAIN)
        .observer(|event: &Event| crate::say(format_args!("{:?} {:?}", event.at, event.kind)))
}

/// A process that cannot write its journal proves nothing: it ends.
fn write_down(journal: &Journal, row: &Row) {
    if let Err(error) = journal.take(row.number) {
        crate::say(format_args!("error: the journal: {}", crate::chain(&error)));
        std::process::exit(i32::from(crate::NOT_RUN));
    }
}

async fn work(row: Row) -> Result<Row, BoxError> {
    let millis = fastrand::u64(..=WORK_MILLIS);
    tokio::time::sleep(Duration::from_millis(millis)).await;
    Ok(row)
}
