//! The file of a sink, on its thread.

mod applying;

use std::{path::Path, sync::Arc, time::Duration};

use async_channel::{Receiver, Sender, bounded};
use rusqlite::{Connection, ErrorCode};

use super::{
    RefusedRow, SqliteSinkError, Value, bind::Parameters, options::SqliteSinkOptions,
    statement::Script,
};
use crate::{
    SqliteError, SqliteErrorKind,
    clock::Clock,
    connection::{Closing, Place},
    error::shared,
    worker::{Engine, Worker},
};
use applying::Applying;

/// A row to be written: its place in the batch, its values, and the identity of its message
/// where that is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) place: usize,
    pub(crate) values: Vec<Value>,
    pub(crate) identity: Option<String>,
}

/// What became of rows, by their places; what is not named was not written.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) done: Vec<usize>,
    pub(crate) refused: Vec<(usize, RefusedRow)>,
    /// Why others were not written.
    pub(crate) failed: Option<SqliteError>,
}

/// The file, from outside.
#[derive(Debug)]
pub(crate) struct File {
    path: Arc<Path>,
    worker: Worker<Job>,
    pub(crate) parameters: Parameters,
}

/// Rows to write, with the way back.
pub(crate) struct Job {
    rows: Arc<Vec<Row>>,
    /// Which of them, by their index here.
    todo: Vec<usize>,
    answer: Sender<Outcome>,
}

/// The file, on its thread.
pub(crate) struct Store {
    place: Place,
    connection: Connection,
    script: Script,
    remember_for: Duration,
    clock: Clock,
}

// === impl File ===

impl File {
    pub(crate) async fn open(
        options: &SqliteSinkOptions,
        script: &Script,
    ) -> Result<Self, SqliteSinkError> {
        let path = shared(options.path.clone());
        let place = Place {
            path: path.clone(),
            sync: options.sync,
            busy_timeout: options.busy_timeout,
            create: !script.setup.is_empty(),
        };
        let (script, remember_for) = (script.clone(), options.remember_for);
        let (worker, opened) =
            Worker::start(move |closing| Store::open(place, script, remember_for, closing));
        let opened: Receiver<Result<Parameters, SqliteSinkError>> = opened;
        let closed = SqliteError::new(&path, SqliteErrorKind::Closed);
        let parameters = opened.recv().await.unwrap_or(Err(closed.into()))?;
        Ok(Self {
            path,
            worker,
            parameters,
        })
    }

    /// Writes some of the rows.
    ///
    /// # Cancel safety
    /// Dropped, the rows may be written or not.
    pub(crate) async fn write(&self, rows: Arc<Vec<Row>>, todo: Vec<usize>) -> Outcome {
        let (answer, outcome) = bounded(1);
        let job = Job { rows, todo, answer };
        if self.worker.send(job).await.is_err() {
            return self.closed();
        }
        outcome.recv().await.unwrap_or_else(|_| self.closed())
    }

    fn closed(&self) -> Outcome {
        Outcome {
            failed: Some(SqliteError::new(&self.path, SqliteErrorKind::Closed)),
            ..Outcome::default()
        }
    }
}

// === impl Store ===

impl Store {
    fn open(
        place: Place,
        script: Script,
        remember_for: Duration,
        closing: &Closing,
    ) -> Result<(Self, Parameters), SqliteSinkError> {
        let connection = place.connect(closing)?;
        let store = Self {
            place,
            connection,
            script,
            remember_for,
            clock: Clock::wall(),
        };
        store.set_up()?;
        let statement = store.prepare(&store.script.statement)?;
        let parameters = Parameters::of(&statement);
        drop(statement);
        Ok((store, parameters))
    }

    /// Runs what the user wants first, and makes the table of what was applied.
    fn set_up(&self) -> Result<(), SqliteSinkError> {
        let applied = self.script.applied.as_deref().map(applying::table);
        for statements in self.script.setup.iter().chain(&applied) {
            let run = self.run_all(statements);
            run.map_err(|source| self.wrong(statements, source))?;
        }
        Ok(())
    }

    fn run_all(&self, statements: &str) -> rusqlite::Result<()> {
        let applying = Applying::begin(self)?;
        applying.run_all(statements)?;
        applying.commit()
    }

    fn prepare(&self, statement: &str) -> Result<rusqlite::CachedStatement<'_>, SqliteSinkError> {
        let prepared = self.connection.prepare_cached(statement);
        prepared.map_err(|source| self.wrong(statement, source))
    }

    fn wrong(&self, statement: &str, source: rusqlite::Error) -> SqliteSinkError {
        let error = self.place.failed(source);
        match (error.kind, error.source) {
            (SqliteErrorKind::Statement, Some(source)) => SqliteSinkError::Statement {
                path: error.path,
                statement: statement.trim().to_owned(),
                source,
            },
            (kind, source) => SqliteSinkError::File(SqliteError {
                path: error.path,
                kind,
                source,
            }),
        }
    }

    /// Writes the rows of all jobs in one transaction. Where the commit itself is refused,
    /// nobody knows for which row: then each has a transaction of its own.
    fn write(&self, jobs: &[Job]) -> Vec<Outcome> {
        match self.write_together(jobs) {
            Ok(outcomes) => outcomes,
            Err(error) if self.blames_a_row(&error) => {
                jobs.iter().map(|job| self.write_alone(job)).collect()
            }
            Err(error) => self.failed(jobs.len(), error),
        }
    }

    fn write_together(&self, jobs: &[Job]) -> rusqlite::Result<Vec<Outcome>> {
        let applying = Applying::begin(self)?;
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            let mut outcome = Outcome::default();
            for row in job.rows() {
                match applying.apply(row)? {
                    Ok(()) => outcome.done.push(row.place),
                    Err(source) => outcome.refused.push((row.place, self.refused(source))),
                }
            }
            outcomes.push(outcome);
        }
        applying.forget()?;
        applying.commit()?;
        Ok(outcomes)
    }

    fn write_alone(&self, job: &Job) -> Outcome {
        let mut outcome = Outcome::default();
        for row in job.rows() {
            match self.write_row(row) {
                Ok(()) => outcome.done.push(row.place),
                Err(error) if self.blames_a_row(&error) => {
                    outcome.refused.push((row.place, self.refused(error)));
                }
                Err(error) => {
                    outcome.failed = Some(self.place.failed(error));
                    break;
                }
            }
        }
        outcome
    }

    fn write_row(&self, row: &Row) -> rusqlite::Result<()> {
        let applying = Applying::begin(self)?;
        applying.apply(row)??;
        applying.commit()
    }

    /// Whether another row might do where this one does not. Most errors say so; that of a
    /// trigger or a function is told from one of the statement by preparing it again.
    fn blames_a_row(&self, error: &rusqlite::Error) -> bool {
        applying::is_about_a_row(error)
            && (error.sqlite_error_code() != Some(ErrorCode::Unknown)
                || self.connection.prepare(&self.script.statement).is_ok())
    }

    fn refused(&self, source: rusqlite::Error) -> RefusedRow {
        RefusedRow {
            path: self.place.path.clone(),
            source,
        }
    }

    /// The same for all, though only one can have what SQLite said.
    fn failed(&self, jobs: usize, error: rusqlite::Error) -> Vec<Outcome> {
        let error = self.place.failed(error);
        let kind = error.kind;
        let mut said = Some(error);
        let outcomes = (0..jobs).map(|_| Outcome {
            failed: Some(match said.take() {
                Some(error) => error,
                None => SqliteError::new(&self.place.path, kind),
            }),
            ..Outcome::default()
        });
        outcomes.collect()
    }
}

impl Engine for Store {
    type Job = Job;

    fn work(&mut self, mut jobs: Vec<Job>) {
        jobs.retain(|job| !job.is_forgotten());
        if jobs.is_empty() {
            return;
        }
        let outcomes = self.write(&jobs);
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            job.answer.try_send(outcome).ok();
        }
    }
}

impl Job {
    /// Whether nobody waits for it any more: its messages went back.
    fn is_forgotten(&self) -> bool {
        self.answer.is_closed()
    }

    /// None once it is forgotten, which may be after a long wait for a lock.
    fn rows(&self) -> impl Iterator<Item = &Row> {
        let todo = if self.is_forgotten() {
            &[][..]
        } else {
            &self.todo
        };
        todo.iter().filter_map(|index| self.rows.get(*index))
    }
}
