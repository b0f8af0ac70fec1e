//! One transaction on a queue: what it counts, and what time it is.

mod claiming;
mod enqueuing;
mod settling;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc, time::Duration};

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub(crate) use claiming::{AtMost, Claim, Claimed, Lent, Peeked};
pub(crate) use enqueuing::Room;
pub(crate) use settling::{Settlement, What};

use crate::{SqliteError, SqliteQueueError, clock::Clock};

/// What the queue counts: its one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    messages: i64,
    bytes: i64,
    last_message: i64,
    last_lease: i64,
    seen: i64,
    ahead: i64,
}

/// The queue in a transaction, which has the only right to write until it ends.
pub(crate) struct Book<'c> {
    transaction: Transaction<'c>,
    path: Arc<Path>,
    before: Counts,
    counts: Counts,
    now: i64,
    /// Whether somebody may find something now, or sooner than before.
    has_news: bool,
}

/// How much is in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Depth {
    /// Messages: those that wait, are delayed, and are worked on.
    pub messages: u64,
    /// The bytes of their payloads, keys and headers.
    pub bytes: u64,
}

// === impl Counts ===

impl Counts {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut select = connection.prepare_cached(
            "SELECT messages, bytes, last_message, last_lease, seen, ahead FROM towpath_queue",
        )?;
        select.query_row((), |row| {
            Ok(Self {
                messages: row.get(0)?,
                bytes: row.get(1)?,
                last_message: row.get(2)?,
                last_lease: row.get(3)?,
                seen: row.get(4)?,
                ahead: row.get(5)?,
            })
        })
    }

    fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut update = connection.prepare_cached(
            "UPDATE towpath_queue SET messages = ?1, bytes = ?2, last_message = ?3,
             last_lease = ?4, seen = ?5, ahead = ?6",
        )?;
        update.execute((
            self.messages,
            self.bytes,
            self.last_message,
            self.last_lease,
            self.seen,
            self.ahead,
        ))?;
        Ok(())
    }

    /// The time of the queue, which never goes back: when the wall clock has, it is put ahead
    /// of it by as much.
    fn tick(&mut self, wall: i64) -> i64 {
        let now = wall.saturating_add(self.ahead);
        if now < self.seen {
            self.ahead = self.seen.saturating_sub(wall);
        }
        self.seen = self.seen.max(now);
        self.seen
    }
}

// === impl Depth ===

impl Depth {
    /// What the row says.
    fn of(messages: i64, bytes: i64) -> Self {
        Self {
            messages: messages.try_into().unwrap_or(0),
            bytes: bytes.try_into().unwrap_or(0),
        }
    }
}

// === impl Book ===

impl<'c> Book<'c> {
    /// Begins a transaction; waits for other connections to end theirs.
    pub(crate) fn open(
        connection: &'c Connection,
        path: &Arc<Path>,
        clock: &Clock,
    ) -> rusqlite::Result<Self> {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let before = Counts::read(connection)?;
        let mut counts = before;
        let now = counts.tick(clock.now());
        Ok(Self {
            transaction,
            path: path.clone(),
            before,
            counts,
            now,
            has_news: false,
        })
    }

    /// Commits; says whether somebody may find something now.
    pub(crate) fn close(self) -> rusqlite::Result<bool> {
        if self.counts != self.before {
            self.counts.write(&self.transaction)?;
        }
        self.transaction.commit()?;
        Ok(self.has_news)
    }

    pub(crate) fn depth(&self) -> Depth {
        Depth::of(self.counts.messages, self.counts.bytes)
    }

    /// What the connection is set to.
    #[cfg(test)]
    pub(crate) fn pragma(&self, name: &str) -> i64 {
        let value = |row: &rusqlite::Row<'_>| row.get(0);
        self.transaction
            .pragma_query_value(None, name, value)
            .unwrap()
    }

    /// Lets the file grow by so many pages at most, as a disk that is almost full would.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, more: Option<i64>) {
        let most = more.map_or(i64::from(u32::MAX - 1), |more| {
            self.pragma("page_count") + more
        });
        let name = "max_page_count";
        let limited = self
            .transaction
            .pragma_update_and_check(None, name, most, |_| Ok(()));
        limited.unwrap();
    }

    fn failed(&self, error: rusqlite::Error) -> SqliteQueueError {
        SqliteError::read(&self.path, error).into()
    }
}

/// Milliseconds, rounded up.
fn millis(time: Duration) -> i64 {
    let whole = i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
    let begun = i64::from(!time.subsec_nanos().is_multiple_of(1_000_000));
    (whole + begun).min(i64::MAX / 4)
}
