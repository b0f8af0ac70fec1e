//! What a run stands on, as the oracle sees it: a source and a store, through clients of its own.

pub(crate) mod file;
pub(crate) mod jobs;
pub(crate) mod kafka;
pub(crate) mod nats;
pub(crate) mod queue;
pub(crate) mod table;

use std::path::Path;

use tokio::runtime::{Builder, Runtime};
use towpath::BoxError;
use towpath_test_servers::Postgres;

use crate::cli::{SinkKind, SourceKind, StoreKind};
use crate::feed::Feed;
use crate::payload::Row;

/// What a pipeline process is told, and the process behind it, where there is one.
pub(crate) trait Part {
    /// The address or the file.
    fn address(&self) -> String;

    /// Whether it is a server, and can be killed.
    fn is_server(&self) -> bool;

    /// SIGKILL.
    fn kill(&mut self) -> Result<(), BoxError>;

    /// Starts what was killed on what it has left behind; it answers when this returns.
    fn restart(&mut self) -> Result<(), BoxError>;
}

/// Where numbered messages wait.
pub(crate) trait SourcePart: Part {
    /// Sends messages to it.
    fn feed(&self) -> Result<Box<dyn Feed>, BoxError>;

    /// Messages whose outcome it has not been told.
    fn left(&mut self) -> Result<u64, BoxError>;

    /// Returns when it has written down all outcomes that it has confirmed by now, as far as that
    /// can be seen: some servers do so later, and forget the last ones when they are killed.
    fn await_written(&self) {}

    /// What it has on record as settled, where that is less than it was told: a cumulative source
    /// does not know what is settled behind a gap.
    fn settled(&mut self) -> Result<Option<Box<dyn Settled>>, BoxError> {
        Ok(None)
    }
}

/// What was settled at one moment.
pub(crate) trait Settled {
    /// Whether this number will not be delivered again.
    fn has(&self, number: u64) -> bool;
}

/// Where rows end.
pub(crate) trait StorePart: Part {
    /// All of them.
    fn rows(&self) -> Result<Vec<Row>, BoxError>;
}

/// Starts a source, in a folder of the run.
pub(crate) fn start_source(
    kind: SourceKind,
    folder: &Path,
) -> Result<Box<dyn SourcePart>, BoxError> {
    Ok(match kind {
        SourceKind::Sqlite => Box::new(queue::Queue::create(folder)?),
        SourceKind::Nats => Box::new(nats::Stream::create()?),
        SourceKind::Kafka => Box::new(kafka::Topic::create()?),
        SourceKind::Postgres => Box::new(jobs::Jobs::create()?),
    })
}

/// Starts a store for rows that are written so, in a folder of the run.
pub(crate) fn start_store(
    kind: StoreKind,
    sink: SinkKind,
    folder: &Path,
) -> Result<Box<dyn StorePart>, BoxError> {
    // Without a key, duplicates are there to be seen.
    let key = match sink {
        SinkKind::Insert | SinkKind::Once => "",
        SinkKind::Upsert => "primary key",
    };
    let create =
        format!("create table delivered (number bigint not null {key}, text text not null)");
    Ok(match kind {
        StoreKind::Sqlite => Box::new(file::File::create(folder, &create)?),
        StoreKind::Postgres => Box::new(table::Table::create(&create)?),
    })
}

/// By `psql`: nothing of ours is between.
fn psql(server: &Postgres, sql: &str) -> Result<String, BoxError> {
    let output = server.psql_command(sql).output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("psql: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// For clients that need one.
fn runtime() -> Result<Runtime, BoxError> {
    Ok(Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?)
}

/// A file can be neither killed nor started.
fn no_server() -> Result<(), BoxError> {
    Err("a file is no server".into())
}
