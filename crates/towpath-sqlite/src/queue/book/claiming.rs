//! Taking messages on a lease.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, Row, Statement};
use towpath_core::Headers;

use super::{Book, Depth, millis};
use crate::{SqliteQueueError, clock::Clock, queue::headers};

/// How much one claim takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtMost {
    pub(crate) messages: usize,
    /// A heavier message comes alone.
    pub(crate) bytes: u64,
}

/// One lending of a message: whoever has it may settle the message, and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lent {
    pub(crate) id: i64,
    /// Higher at each claim, and the same for what is claimed together.
    pub(crate) lease: i64,
}

/// A message that was claimed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claimed {
    pub(crate) lent: Lent,
    /// When it became available, for its place when it is released.
    pub(crate) since: i64,
    /// This one included.
    pub(crate) attempts: u32,
    pub(crate) key: Option<String>,
    pub(crate) headers: Headers,
    pub(crate) payload: Bytes,
}

/// What a claim brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Claim {
    pub(crate) messages: Vec<Claimed>,
    pub(crate) peeked: Peeked,
}

/// Whether there is something to claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peeked {
    /// In how long the first message is available; zero when one is.
    pub(crate) next_in: Option<Duration>,
    pub(crate) depth: Depth,
}

impl Book<'_> {
    /// Claims messages for `lease`, those first that are available longest.
    pub(crate) fn claim(
        &mut self,
        at_most: AtMost,
        lease: Duration,
    ) -> Result<Claim, SqliteQueueError> {
        let claimed = self.try_claim(at_most, lease);
        claimed.map_err(|error| self.failed(error))
    }

    fn try_claim(&mut self, at_most: AtMost, lease: Duration) -> rusqlite::Result<Claim> {
        let number = self.counts.last_lease + 1;
        let messages = self.available(at_most, number)?;
        if !messages.is_empty() {
            self.counts.last_lease = number;
            self.lend(&messages, number, self.now.saturating_add(millis(lease)))?;
        }
        let next_at = next_at(&self.transaction)?;
        let peeked = Peeked::new(next_at, self.now, self.depth());
        Ok(Claim { messages, peeked })
    }

    fn available(&self, at_most: AtMost, lease: i64) -> rusqlite::Result<Vec<Claimed>> {
        let mut select = self.transaction.prepare_cached(
            "SELECT m.id, m.available_at, m.attempts, b.key, b.headers, b.payload, m.bytes
             FROM towpath_message AS m CROSS JOIN towpath_body AS b ON b.id = m.id
             WHERE m.available_at <= ?1 ORDER BY m.available_at, m.id LIMIT ?2",
        )?;
        let messages = i64::try_from(at_most.messages).unwrap_or(i64::MAX);
        collect(&mut select, (self.now, messages), at_most.bytes, lease)
    }

    fn lend(&self, messages: &[Claimed], lease: i64, until: i64) -> rusqlite::Result<()> {
        let mut update = self.transaction.prepare_cached(
            "UPDATE towpath_message SET available_at = ?2, lease = ?3, attempts = attempts + 1
             WHERE id = ?1",
        )?;
        for message in messages {
            update.execute((message.lent.id, until, lease))?;
        }
        Ok(())
    }
}

fn collect(
    select: &mut Statement<'_>,
    which: (i64, i64),
    bytes: u64,
    lease: i64,
) -> rusqlite::Result<Vec<Claimed>> {
    let mut rows = select.query(which)?;
    let (mut messages, mut left) = (Vec::new(), bytes);
    while let Some(row) = rows.next()? {
        let weight = u64::try_from(row.get::<_, i64>(6)?).unwrap_or(0);
        if weight > left && !messages.is_empty() {
            break;
        }
        left = left.saturating_sub(weight);
        messages.push(Claimed::read(row, lease)?);
    }
    Ok(messages)
}

impl Claimed {
    fn read(row: &Row<'_>, lease: i64) -> rusqlite::Result<Self> {
        let payload = row.get_ref(5)?;
        let before: i64 = row.get(2)?;
        Ok(Self {
            lent: Lent {
                id: row.get(0)?,
                lease,
            },
            since: row.get(1)?,
            attempts: u32::try_from(before).map_or(u32::MAX, |before| before.saturating_add(1)),
            key: row.get(3)?,
            headers: headers::read(row.get_ref(4)?.as_str_or_null()?),
            payload: Bytes::copy_from_slice(payload.as_blob()?),
        })
    }
}

impl Peeked {
    /// Looks without a transaction of its own, and without a lock that keeps others from writing.
    ///
    /// One statement: this is what is done again and again while there is nothing to do.
    pub(crate) fn look(connection: &Connection, clock: &Clock) -> rusqlite::Result<Self> {
        let mut select = connection.prepare_cached(
            "SELECT messages, bytes, seen, ahead, (SELECT min(available_at) FROM towpath_message)
             FROM towpath_queue",
        )?;
        let wall = clock.now();
        select.query_row((), |row| {
            let depth = Depth::of(row.get(0)?, row.get(1)?);
            let (seen, now): (i64, i64) = (row.get(2)?, wall.saturating_add(row.get(3)?));
            let next_at: Option<i64> = row.get(4)?;
            // The wall clock went back: a claim puts the time of the queue ahead of it.
            let next_at = next_at.map(|at| if now < seen { now } else { at });
            Ok(Self::new(next_at, now, depth))
        })
    }

    fn new(next_at: Option<i64>, now: i64, depth: Depth) -> Self {
        let left = |at: i64| u64::try_from(at.saturating_sub(now)).unwrap_or(0);
        Self {
            next_in: next_at.map(|at| Duration::from_millis(left(at))),
            depth,
        }
    }

    /// Whether a claim would bring something.
    pub(crate) fn is_due(&self) -> bool {
        self.next_in == Some(Duration::ZERO)
    }
}

/// When the first message is available.
fn next_at(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT min(available_at) FROM towpath_message")?;
    select.query_row((), |row| row.get(0))
}
