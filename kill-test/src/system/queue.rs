//! A queue in a SQLite file, as a source.

use std::path::Path;

use towpath::BoxError;
use towpath::sqlite::{SqliteQueue, SqliteQueueOptions, Sync};

use super::{Part, SourcePart, no_server};
use crate::feed::Feed;
use crate::payload::Row;

pub(crate) struct Queue(SqliteQueue);

/// What a killed process has written is not lost; only what a crash of the machine would cost is
/// not paid for: on a busy one a sync can take longer than everybody waits.
pub(crate) const SYNC: Sync = Sync::Off;

/// The same for all processes.
pub(crate) fn queue_options() -> SqliteQueueOptions {
    SqliteQueueOptions::default().sync(SYNC)
}

// === impl Queue ===

impl Queue {
    pub(super) fn create(folder: &Path) -> Result<Self, BoxError> {
        let queue = SqliteQueue::open(folder.join("queue.db"), queue_options())?;
        Ok(Self(queue))
    }
}

impl Part for Queue {
    fn address(&self) -> String {
        self.0.path().display().to_string()
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

impl SourcePart for Queue {
    fn feed(&self) -> Result<Box<dyn Feed>, BoxError> {
        Ok(Box::new(Enqueuer(self.0.clone())))
    }

    fn left(&mut self) -> Result<u64, BoxError> {
        Ok(self.0.depth_blocking()?.messages)
    }
}

/// The schema is the queue's own: only it can put messages in.
struct Enqueuer(SqliteQueue);

impl Feed for Enqueuer {
    fn send(&mut self, rows: &[Row]) -> Vec<bool> {
        let entries = rows.iter().map(Row::encoded);
        let are_in = self.0.enqueue_many_blocking(entries).is_ok();
        vec![are_in; rows.len()]
    }
}
