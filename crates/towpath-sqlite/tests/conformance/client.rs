//! A client of its own: plain SQL on the files, by what the tables are documented to be.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use rusqlite::{Connection, Row, Transaction, TransactionBehavior};
use tempfile::TempDir;
use towpath::BoxError;
use towpath_test::conformance::Parcel;

static PLACES: AtomicU64 = AtomicU64::new(0);

/// While somebody else writes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A path where nothing is yet.
pub(crate) fn fresh(folder: &TempDir) -> String {
    let name = format!("place-{}.db", PLACES.fetch_add(1, Relaxed));
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// A file that must be there.
fn open(path: &str) -> Result<Connection, BoxError> {
    use rusqlite::OpenFlags;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// Keeps others from writing until it is dropped.
pub(crate) fn lock(path: &str) -> Connection {
    let connection = open(path).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

pub(crate) fn count(path: &str, sql: &str) -> Result<u64, BoxError> {
    let count: i64 = open(path)?.query_row(sql, (), |row| row.get(0))?;
    Ok(count.try_into()?)
}

pub(crate) fn put(path: &str, parcels: &[Parcel]) -> Result<(), BoxError> {
    let connection = open(path)?;
    let put = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
    for parcel in parcels {
        let bytes = i64::try_from(parcel.payload.len())?;
        let id: i64 = put.query_row(
            "UPDATE towpath_queue SET last_message = last_message + 1, messages = messages + 1,
             bytes = bytes + ?1 RETURNING last_message",
            [bytes],
            |row| row.get(0),
        )?;
        put.execute(
            "INSERT INTO towpath_message SELECT ?1, seen, 0, 0, ?2 FROM towpath_queue",
            (id, bytes),
        )?;
        let headers = serde_json::to_string(&parcel.headers)?;
        put.execute(
            "INSERT INTO towpath_body VALUES (?1, ?2, ?3, ?4)",
            (id, &parcel.key, headers, &parcel.payload),
        )?;
    }
    put.commit()?;
    Ok(())
}

pub(crate) fn queued(path: &str) -> Result<Vec<Parcel>, BoxError> {
    read(
        path,
        "SELECT key, payload, headers FROM towpath_body ORDER BY id",
    )
}

pub(crate) fn make_table(path: &str, largest: usize) -> Result<(), BoxError> {
    let sql = format!(
        "CREATE TABLE parcels (
            id INTEGER PRIMARY KEY, key TEXT CHECK (key <> 'forbidden'),
            payload BLOB CHECK (length(payload) <= {largest}), headers TEXT
         )"
    );
    Connection::open(path)?.execute_batch(&sql)?;
    Ok(())
}

pub(crate) fn parcels(path: &str) -> Result<Vec<Parcel>, BoxError> {
    read(
        path,
        "SELECT key, payload, headers FROM parcels ORDER BY id",
    )
}

fn read(path: &str, sql: &str) -> Result<Vec<Parcel>, BoxError> {
    let connection = open(path)?;
    let mut select = connection.prepare(sql)?;
    let parcels = select.query_map((), parcel)?;
    Ok(parcels.collect::<Result<_, _>>()?)
}

fn parcel(row: &Row<'_>) -> rusqlite::Result<Parcel> {
    let (key, payload): (Option<String>, Vec<u8>) = (row.get(0)?, row.get(1)?);
    let headers: Option<String> = row.get(2)?;
    let headers: Vec<(String, String)> = headers
        .map(|text| serde_json::from_str(&text).unwrap())
        .unwrap_or_default();
    let parcel = Parcel::new(key.unwrap_or_default(), payload);
    let with = |parcel: Parcel, (name, value)| parcel.with_header(name, value);
    Ok(headers.into_iter().fold(parcel, with))
}
