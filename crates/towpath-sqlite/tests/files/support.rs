//! What the tests share.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, types::FromSql};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use towpath::{PipelineHandle, Report, Running};
use towpath_sqlite::{SqliteMessage, SqliteQueue, SqliteQueueOptions, Sync};
use towpath_test::check;

/// Whatever is waited for is there by then.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn quick() -> SqliteQueueOptions {
    SqliteQueueOptions::default().sync(Sync::Off)
}

pub(crate) fn queue(path: impl Into<PathBuf>) -> SqliteQueue {
    SqliteQueue::open(path, quick()).unwrap()
}

/// All values of the first column.
pub(crate) fn column<T: FromSql>(path: &Path, sql: &str) -> Vec<T> {
    let connection = Connection::open(path).unwrap();
    let mut select = connection.prepare(sql).unwrap();
    let values = select.query_map((), |row| row.get(0)).unwrap();
    values.map(Result::unwrap).collect()
}

pub(crate) fn run_sql(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

pub(crate) fn text(queued: &SqliteMessage) -> Result<String, std::string::FromUtf8Error> {
    String::from_utf8(queued.payload.to_vec())
}

/// Looks every millisecond until it is so.
pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(
        timeout(SOON, looking).await.is_ok(),
        "{what}: not within {SOON:?}"
    );
}

pub(crate) async fn until_done(handle: &PipelineHandle, count: u64) {
    until(&format!("{count} are done"), || {
        handle.status().counts.done >= count
    })
    .await;
}

pub(crate) async fn drained(running: Running) -> Report {
    running.handle().drain_within(SOON);
    let report = timeout(SOON * 2, running.join()).await.unwrap().unwrap();
    check(&report);
    report
}
