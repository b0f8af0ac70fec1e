//! Where flights and dead letters end, as sinks of the pipeline.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use towpath::core::SinkPromise;
use towpath::producer::CsvRow;
use towpath::{self, Batch, BoxError, Failure, Sink, SinkStage, Written};

use super::cli::Job;
use super::dead_letters::{DeadLetter, DeadLetters, Original};
use super::error::{FlightsError, chain};
use super::record::Flight;
use super::schema::Table;
use super::store::{SharedStore, Store};

/// All that a job writes, made and open.
#[derive(Debug)]
pub struct Sinks {
    store: SharedStore,
    letters: DeadLetters,
    trouble: Trouble,
}

/// Writes batches into one table, on a thread that may block.
#[derive(Debug, Clone)]
pub struct TableSink {
    store: SharedStore,
    table: Table,
    trouble: Trouble,
}

/// Writes dead letters. They are few and small: not worth a thread of their own.
#[derive(Debug)]
pub struct LetterSink {
    letters: DeadLetters,
    trouble: Trouble,
}

/// What kept a sink from writing, the first of it: it ends the run.
pub type Troubles = mpsc::Receiver<FlightsError>;

/// While one batch is written, the next waits for its turn and another fills.
const WRITERS: usize = 2;

#[derive(Debug, Clone)]
struct Trouble(mpsc::Sender<FlightsError>);

// === impl Sinks ===

impl Sinks {
    /// Makes database and file, or opens those that are there.
    ///
    /// # Errors
    /// Fails if they cannot be made, or cannot be written.
    pub fn create(job: &Job) -> Result<(Self, Troubles), FlightsError> {
        let (trouble, troubles) = mpsc::channel(1);
        let sinks = Self {
            store: SharedStore::new(Store::open(&job.database)?),
            letters: DeadLetters::create(&job.dead_letters)?,
            trouble: Trouble(trouble),
        };
        Ok((sinks, troubles))
    }

    /// The database, to be closed at the end.
    pub fn store(&self) -> SharedStore {
        self.store.clone()
    }

    /// The stage that writes one table.
    pub fn table(&self, table: Table) -> SinkStage<TableSink> {
        let sink = TableSink {
            store: self.store.clone(),
            table,
            trouble: self.trouble.clone(),
        };
        SinkStage::of(table.name(), sink).workers(WRITERS)
    }

    /// The stage that writes dead letters.
    pub fn letters(self) -> SinkStage<LetterSink> {
        let sink = LetterSink {
            letters: self.letters,
            trouble: self.trouble,
        };
        SinkStage::of("dead letters", sink)
    }
}

// === impl TableSink ===

impl Sink<Arc<Flight>> for TableSink {
    async fn write(&mut self, batch: Batch<Arc<Flight>>) -> Result<Written, BoxError> {
        let (store, table) = (self.store.clone(), self.table);
        let written = spawn_blocking(move || store.write(table, batch.items())).await?;
        written.map_err(|error| self.trouble.with(error))?;
        Ok(Written::All)
    }

    /// A row says itself where it came from.
    fn reads_origins(&self) -> bool {
        false
    }

    /// A row that comes twice takes its own place.
    fn promise(&self) -> SinkPromise {
        SinkPromise::Idempotent
    }
}

// === impl LetterSink ===

impl Sink<towpath::DeadLetter> for LetterSink {
    async fn write(&mut self, batch: Batch<towpath::DeadLetter>) -> Result<Written, BoxError> {
        let written = batch
            .items()
            .iter()
            .try_for_each(|letter| self.letters.write(&line(letter)));
        let flushed = written.and_then(|()| self.letters.flush());
        flushed.map_err(|error| self.trouble.with(error))?;
        Ok(Written::All)
    }
}

fn line(letter: &towpath::DeadLetter) -> DeadLetter<'_> {
    let original = letter.original.as_ref();
    let row = original.and_then(|original| original.downcast_ref::<CsvRow>());
    DeadLetter {
        line: letter.origin.position.map(|position| position.offset),
        stage: letter.cause.stage().as_str(),
        cause: chain(letter.cause.error()),
        // A file hands each row out once.
        attempts: letter.origin.attempt.max(1),
        original: row.map(|row| Original {
            header: row.headers(),
            row: row.record(),
        }),
    }
}

// === impl Trouble ===

impl Trouble {
    /// Ends the run; what was not written goes back to its source, and so is left over.
    fn with(&self, error: impl Into<FlightsError>) -> BoxError {
        let error = error.into();
        let failure = Failure::retry(error.to_string());
        // Full: there was trouble before.
        drop(self.0.try_send(error));
        failure.into()
    }
}
