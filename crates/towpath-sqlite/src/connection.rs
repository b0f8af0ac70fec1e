//! Opening a file: flags, pragmas, and waiting for others.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::sleep,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use crate::{SqliteError, SqliteErrorKind, Sync};

/// What the log may keep of the disk between checkpoints, in bytes.
const KEPT_LOG: i64 = 64 << 20;
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 64;
/// The shortest and the longest pause while another connection writes.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// A file, and how to open it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) path: Arc<Path>,
    pub(crate) sync: Sync,
    pub(crate) busy_timeout: Duration,
    /// Whether a file that is not there is made.
    pub(crate) create: bool,
}

/// Says to a connection that it is to be closed: it waits for no lock any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closing(Arc<AtomicBool>);

impl Closing {
    pub(crate) fn close(&self) {
        self.0.store(true, Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Place {
    /// Opens the file in WAL mode.
    pub(crate) fn connect(&self, closing: &Closing) -> Result<Connection, SqliteError> {
        self.look()?;
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, self.create);
        self.connect_with(flags, closing)
    }

    fn connect_with(&self, flags: OpenFlags, closing: &Closing) -> Result<Connection, SqliteError> {
        let read = |error| self.failed(error);
        let mut connection = Connection::open_with_flags(&self.path, flags).map_err(read)?;
        let waiting = waiting(self.busy_timeout, closing.clone());
        connection.busy_handler(Some(waiting)).map_err(read)?;
        if connection.is_readonly("main").map_err(read)? {
            return Err(SqliteError::new(&self.path, SqliteErrorKind::ReadOnly));
        }
        self.write_ahead(&connection, closing)?;
        connection
            .pragma_update(None, "synchronous", self.sync.word())
            .map_err(read)?;
        // Where a sync of the system leaves data in the memory of the disk: macOS.
        connection
            .pragma_update(None, "fullfsync", self.sync >= Sync::Full)
            .map_err(read)?;
        connection
            .pragma_update_and_check(None, "journal_size_limit", KEPT_LOG, |_| Ok(()))
            .map_err(read)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    }

    /// Turns WAL mode on. SQLite does not wait here when several do that at once: we do.
    fn write_ahead(&self, connection: &Connection, closing: &Closing) -> Result<(), SqliteError> {
        let mut wait = waiting(self.busy_timeout, closing.clone());
        for count in 0.. {
            let mode = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| {
                row.get::<_, String>(0)
            });
            match mode.map_err(|error| self.failed(error)) {
                Ok(mode) if mode == "wal" => break,
                Ok(_) => return Err(SqliteError::new(&self.path, SqliteErrorKind::NoWal)),
                Err(error) if error.kind == SqliteErrorKind::Busy && wait(count) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// SQLite says "unable to open database file" to all of this.
    fn look(&self) -> Result<(), SqliteError> {
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) {
            return Err(SqliteError::new(&self.path, SqliteErrorKind::NoFolder));
        }
        if !self.create && !self.path.exists() {
            return Err(SqliteError::new(&self.path, SqliteErrorKind::NoFile));
        }
        Ok(())
    }

    /// Reads an error of SQLite.
    pub(crate) fn failed(&self, error: rusqlite::Error) -> SqliteError {
        SqliteError::read(&self.path, error)
    }
}

/// Waits for another connection's lock, for so long in all: SQLite asks each time that the
/// lock is still there.
fn waiting(at_most: Duration, closing: Closing) -> impl FnMut(i32) -> bool + Send + 'static {
    let mut begun = Instant::now();
    move |count| {
        if count == 0 {
            begun = Instant::now();
        }
        if closing.is_closed() || begun.elapsed() >= at_most {
            return false;
        }
        let doublings = u32::try_from(count).unwrap_or(0).min(10);
        sleep((FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE));
        true
    }
}

#[cfg(test)]
mod tests;
