//! A table in a SQLite file, as a store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use towpath::BoxError;

use super::{Part, StorePart, no_server};
use crate::payload::Row;

/// While somebody else writes.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct File(PathBuf);

// === impl File ===

impl File {
    pub(super) fn create(folder: &Path, create: &str) -> Result<Self, BoxError> {
        let file = Self(folder.join("store.db"));
        file.open()?.execute_batch(create)?;
        Ok(file)
    }

    fn open(&self) -> Result<Connection, BoxError> {
        let store = Connection::open(&self.0)?;
        store.busy_timeout(PATIENCE)?;
        Ok(store)
    }
}

impl Part for File {
    fn address(&self) -> String {
        self.0.display().to_string()
    }

    fn is_server(&self) -> bool {
        false
    }

    fn kill(&mut self) -> Result<(), BoxError> {
        no_server()
    }

    fn restart(&mut self) -> Result<(), BoxError> {
        no_server()
    }
}

impl StorePart for File {
    fn rows(&self) -> Result<Vec<Row>, BoxError> {
        let store = self.open()?;
        let mut rows = store.prepare("select number, text from delivered")?;
        let rows = rows.query_map((), |row| {
            Ok(Row {
                number: row.get::<_, i64>(0)?.cast_unsigned(),
                text: row.get(1)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
