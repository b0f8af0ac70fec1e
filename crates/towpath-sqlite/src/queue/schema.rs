//! The tables of a queue, and whether a file has them.

use std::{path::Path, sync::Arc};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{SqliteError, SqliteQueueError};

/// Says that a file is a queue of ours: `TwpQ`.
const APPLICATION: i64 = 0x5477_7051;
/// The version of the tables.
const VERSION: i64 = 1;

/// - `towpath_queue` has one row: what the queue counts. `seen` is the latest time of the
///   queue, and `ahead` by how much its time is ahead of the wall clock.
/// - `towpath_message` is small, and all that a claim writes. What is leased or delayed is
///   available later, and has a lease that is not 0 in the first case.
/// - `towpath_body` has the rest of a message, written once.
/// - `towpath_dedup` remembers ids of messages for a while, also of those that are gone.
const TABLES: &str = "
    CREATE TABLE towpath_queue (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        name TEXT NOT NULL,
        messages INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        last_message INTEGER NOT NULL,
        last_lease INTEGER NOT NULL,
        seen INTEGER NOT NULL,
        ahead INTEGER NOT NULL
    );
    INSERT INTO towpath_queue VALUES (1, lower(hex(randomblob(8))), 0, 0, 0, 0, 0, 0);
    CREATE TABLE towpath_message (
        id INTEGER PRIMARY KEY,
        available_at INTEGER NOT NULL,
        lease INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    );
    CREATE INDEX towpath_message_available ON towpath_message (available_at, id);
    CREATE TABLE towpath_body (
        id INTEGER PRIMARY KEY,
        key TEXT,
        headers TEXT,
        payload BLOB NOT NULL
    );
    CREATE TABLE towpath_dedup (
        dedup_id TEXT PRIMARY KEY,
        message INTEGER NOT NULL,
        until INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX towpath_dedup_until ON towpath_dedup (until);
";

/// Makes the tables in a file that is empty, and refuses one that is no queue; tells the name
/// that the queue was given when it was made.
pub(crate) fn prepare(
    path: &Arc<Path>,
    connection: &Connection,
) -> Result<String, SqliteQueueError> {
    let read = |error| SqliteQueueError::File(SqliteError::read(path, error));
    if !check(path, connection)? {
        let behavior = TransactionBehavior::Immediate;
        let making = Transaction::new_unchecked(connection, behavior).map_err(read)?;
        // Another process may have been faster.
        if !check(path, &making)? {
            make(&making).map_err(read)?;
        }
        making.commit().map_err(read)?;
    }
    let name = connection.query_row("SELECT name FROM towpath_queue", (), |row| row.get(0));
    name.map_err(read)
}

fn make(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)
}

/// Whether there is a queue; not where there is nothing at all.
fn check(path: &Arc<Path>, connection: &Connection) -> Result<bool, SqliteQueueError> {
    let read = |error| SqliteQueueError::File(SqliteError::read(path, error));
    let (application, version, tables) = connection
        .query_row(
            "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema)
             FROM pragma_application_id AS a, pragma_user_version AS v",
            (),
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(read)?;
    match (application, version, tables) {
        (APPLICATION, VERSION, _) => Ok(true),
        (APPLICATION, found, _) => Err(SqliteQueueError::Newer {
            path: path.clone(),
            found,
            known: VERSION,
        }),
        (0, 0, 0_i64) => Ok(false),
        _ => Err(SqliteQueueError::NotAQueue { path: path.clone() }),
    }
}
