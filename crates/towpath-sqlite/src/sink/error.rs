//! Why a sink cannot be opened, or refuses a row.

use std::{path::Path, sync::Arc};

use crate::SqliteError;

/// A sink cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteSinkError {
    /// The file failed.
    #[error(transparent)]
    File(#[from] SqliteError),
    /// A statement cannot be prepared: it is wrong, or a table is missing.
    #[error("{path}: the statement cannot be prepared: {statement}", path = .path.display())]
    Statement {
        /// The file.
        path: Arc<Path>,
        /// The statement.
        statement: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// SQLite has refused a row: a constraint, a type, a value that is too large.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the row was refused", path = .path.display())]
#[non_exhaustive]
pub struct RefusedRow {
    /// The file.
    pub path: Arc<Path>,
    /// What SQLite said.
    pub source: rusqlite::Error,
}
