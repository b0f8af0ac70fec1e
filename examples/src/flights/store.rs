//! Writes flights into SQLite, a batch in one transaction.
//!
//! SQLite has one writer at a time. Batches of both tables therefore share one connection behind
//! a lock, where they queue fairly, instead of two connections that would poll for each other.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, MAIN_DB, Transaction, TransactionBehavior};

use super::record::Flight;
use super::schema::{self, Table};
use super::summary::Stored;

/// How long to wait for another program that holds the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// The database, for one writer.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

/// The database, for several writers that take turns; blocks while it writes.
#[derive(Debug, Clone)]
pub struct SharedStore(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    /// `None` when it is closed.
    store: Option<Store>,
    stored: Stored,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The path names a directory.
    #[error("`{}` is a directory, not a database", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("`{}` is not an SQLite database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The database may be read only.
    #[error("the database `{}` is read-only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Another program holds the database.
    #[error("the database `{}` is in use by another program", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The database has a table of the same name and other columns.
    #[error("table `{}` of `{}` has other columns", table.name(), path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The table.
        table: Table,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the database `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The run is over: the batch comes too late.
    #[error("the database is closed")]
    Closed,
    /// A batch was not written, none of it.
    #[error("cannot write to table `{}` of `{}`", table.name(), path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The table.
        table: Table,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

// === impl Store ===

impl Store {
    /// Opens the database, and makes file and tables if they are not there.
    ///
    /// # Errors
    /// Fails now rather than at the first batch if it cannot be written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if path.is_dir() {
            let path = path.to_owned();
            return Err(StoreError::Directory { path });
        }
        let opened = Connection::open(path).and_then(|mut connection| {
            prepare(&mut connection)?;
            Ok(connection)
        });
        let connection = opened.map_err(|source| cannot_open(path, source))?;
        if connection.is_readonly(MAIN_DB).unwrap_or(false) {
            let path = path.to_owned();
            return Err(StoreError::ReadOnly { path });
        }
        let path = path.to_owned();
        let store = Self { connection, path };
        store.check_columns()?;
        Ok(store)
    }

    /// Writes a batch in one transaction and returns how many rows it had.
    ///
    /// A row with the key of an older one takes its place, so that a batch may be written again.
    ///
    /// # Errors
    /// Fails if any row cannot be written; then none is.
    pub fn write<'a>(
        &mut self,
        table: Table,
        rows: impl IntoIterator<Item = &'a Flight>,
    ) -> Result<usize, StoreError> {
        let written = self
            .begin()
            .and_then(|transaction| upsert(transaction, table, rows));
        written.map_err(|source| self.cannot_write(table, source))
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// Fails if the table cannot be read.
    pub fn count(&self, table: Table) -> rusqlite::Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", table.name());
        let count = self.connection.query_row(&sql, [], |row| row.get(0));
        count.map(i64::unsigned_abs)
    }

    fn begin(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
    }

    /// Compiling a statement names the columns that are not there.
    fn check_columns(&self) -> Result<(), StoreError> {
        for table in Table::ALL {
            let statement = self.connection.prepare_cached(&table.upsert());
            statement.map_err(|source| StoreError::Schema {
                path: self.path.clone(),
                table,
                source,
            })?;
        }
        Ok(())
    }

    fn cannot_write(&self, table: Table, source: rusqlite::Error) -> StoreError {
        let path = self.path.clone();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => StoreError::Busy { path, source },
            Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path },
            _ => StoreError::Write {
                path,
                table,
                source,
            },
        }
    }
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    if connection.is_readonly(MAIN_DB)? {
        return Ok(());
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    // Immediate takes the lock of a writer, even if both tables are there.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(&Table::ALL.map(Table::create).concat())?;
    transaction.commit()
}

fn upsert<'a>(
    transaction: Transaction<'_>,
    table: Table,
    rows: impl IntoIterator<Item = &'a Flight>,
) -> rusqlite::Result<usize> {
    let mut written = 0;
    let mut statement = transaction.prepare_cached(&table.upsert())?;
    for row in rows {
        schema::bind(&mut statement, row)?;
        written += statement.raw_execute()?;
    }
    drop(statement);
    transaction.commit()?;
    Ok(written)
}

fn cannot_open(path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::NotADatabase { path, source },
        Some(ErrorCode::DatabaseBusy) => StoreError::Busy { path, source },
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path },
        _ => StoreError::Open { path, source },
    }
}

// === impl SharedStore ===

impl SharedStore {
    /// Shares a database.
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            store: Some(store),
            stored: Stored::default(),
        })))
    }

    /// Writes a batch of one origin as [`Store::write`] does, after the batches that came before.
    ///
    /// # Errors
    /// Fails if any row cannot be written, or the database is closed; then none is.
    pub fn write(&self, table: Table, rows: &[Arc<Flight>]) -> Result<(), StoreError> {
        let mut shared = self.lock();
        let store = shared.store.as_mut().ok_or(StoreError::Closed)?;
        let written = store.write(table, rows.iter().map(Arc::as_ref))? as u64;
        if let Some(first) = rows.first() {
            shared.stored.add(table, first.origin(), written);
        }
        Ok(())
    }

    /// Waits for a batch that is being written, closes the database, and tells what was written.
    ///
    /// A batch that comes later is refused, so that the count stays true.
    pub fn close(&self) -> Stored {
        let mut shared = self.lock();
        shared.store = None;
        shared.stored.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A writer that panicked has rolled its transaction back: the connection is sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
