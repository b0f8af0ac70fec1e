//! What can be wrong with a file, and what SQLite says about it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::ErrorCode;

/// A SQLite file failed.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {kind}", path = .path.display())]
#[non_exhaustive]
pub struct SqliteError {
    /// The file.
    pub path: Arc<Path>,
    /// What is wrong.
    pub kind: SqliteErrorKind,
    /// What SQLite said, where it said anything.
    pub source: Option<rusqlite::Error>,
}

/// What is wrong with a SQLite file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteErrorKind {
    /// The folder of the file is not there.
    #[error("its folder does not exist")]
    NoFolder,
    /// The file is not there, and is not to be made.
    #[error("the file does not exist")]
    NoFile,
    /// The file cannot be opened.
    #[error("cannot be opened")]
    CannotOpen,
    /// The file, its folder or its file system is read-only.
    #[error("is read-only")]
    ReadOnly,
    /// The file is something else.
    #[error("is no SQLite database")]
    NotADatabase,
    /// The file is damaged.
    #[error("is corrupt")]
    Corrupt,
    /// Somebody else kept the file locked for longer than `busy_timeout`.
    #[error("is locked by another connection for longer than `busy_timeout`")]
    Busy,
    /// There is no room on the disk, or the file may not grow.
    #[error("the disk is full")]
    DiskFull,
    /// Reading or writing failed.
    #[error("cannot be read or written")]
    Io,
    /// WAL mode cannot be had: a network file system, say.
    #[error("cannot be used in WAL mode")]
    NoWal,
    /// A statement or a row is wrong.
    #[error("a statement failed")]
    Statement,
    /// The thread of the connection is gone.
    #[error("is closed")]
    Closed,
}

// === impl SqliteError ===

impl SqliteError {
    pub(crate) fn new(path: &Arc<Path>, kind: SqliteErrorKind) -> Self {
        Self {
            path: path.clone(),
            kind,
            source: None,
        }
    }

    /// Reads what SQLite says.
    pub(crate) fn read(path: &Arc<Path>, error: rusqlite::Error) -> Self {
        Self {
            path: path.clone(),
            kind: SqliteErrorKind::of(&error),
            source: Some(error),
        }
    }

    /// Whether trying again can never help, whatever happens to the disk or to other
    /// processes: the file is something else, damaged, or closed.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self.kind,
            SqliteErrorKind::NotADatabase | SqliteErrorKind::Corrupt | SqliteErrorKind::Closed
        )
    }
}

// === impl SqliteErrorKind ===

impl SqliteErrorKind {
    fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen) => Self::CannotOpen,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::NotADatabase) => Self::NotADatabase,
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::SystemIoFailure | ErrorCode::FileLockingProtocolFailed) => Self::Io,
            _ => Self::Statement,
        }
    }
}

/// A path as errors have it: shared.
pub(crate) fn shared(path: impl Into<PathBuf>) -> Arc<Path> {
    Arc::from(path.into())
}
