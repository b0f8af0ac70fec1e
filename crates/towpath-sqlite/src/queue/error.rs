//! Why a queue cannot be opened, or takes nothing.

use std::{path::Path, sync::Arc};

use towpath_options::InvalidOptions;

use crate::SqliteError;

/// A queue cannot be opened or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteQueueError {
    /// The options cannot be used.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// The file failed.
    #[error(transparent)]
    File(#[from] SqliteError),
    /// The file is a database of something else.
    #[error("{path}: is a SQLite database, but no queue", path = .path.display())]
    NotAQueue {
        /// The file.
        path: Arc<Path>,
    },
    /// The queue was made by a newer program.
    #[error(
        "{path}: is a queue of version {found}, and this program knows versions up to {known}",
        path = .path.display()
    )]
    Newer {
        /// The file.
        path: Arc<Path>,
        /// The version of the file.
        found: i64,
        /// The version that this program makes.
        known: i64,
    },
    /// The queue takes no more for now; nothing was put in.
    #[error(
        "{path}: the queue is full: it holds {messages} messages of {bytes} bytes, and takes \
         {max_messages} (`max_messages`) of {max_bytes} (`max_bytes`)",
        path = .path.display()
    )]
    Full {
        /// The file.
        path: Arc<Path>,
        /// How many messages it holds.
        messages: u64,
        /// How many it takes.
        max_messages: u64,
        /// How many bytes its messages have.
        bytes: u64,
        /// How many bytes it takes.
        max_bytes: u64,
    },
    /// A message has too many bytes, whatever the queue holds; nothing was put in.
    #[error("a message of {bytes} bytes is too large: the queue takes {limit} (`{option}`)")]
    TooLarge {
        /// Its payload, key and headers.
        bytes: u64,
        /// What the queue takes.
        limit: u64,
        /// The option that says so.
        option: &'static str,
    },
}

impl SqliteQueueError {
    /// Whether trying again can never help.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::File(error) => error.is_permanent(),
            Self::Options(_) | Self::NotAQueue { .. } | Self::Newer { .. } => true,
            Self::Full { .. } | Self::TooLarge { .. } => false,
        }
    }
}
