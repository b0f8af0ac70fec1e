//! Giving messages back, or taking them out for good.

use std::time::Duration;

use rusqlite::OptionalExtension as _;
use towpath_core::Headers;

use super::{Book, Claimed, Lent, millis};
use crate::{SqliteQueueError, queue::headers};

/// What becomes of a message that was lent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settlement {
    pub(crate) lent: Lent,
    pub(crate) what: What,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// It is done: it goes.
    Remove,
    /// It comes again.
    Return {
        after: Duration,
        /// Attempts that were made in place, beyond the one of the delivery.
        extra: u32,
        /// The headers of its trace, to go on with.
        trace: Option<Headers>,
    },
}

impl Book<'_> {
    /// Settles messages; tells how many of them still were whose lease it was.
    pub(crate) fn settle(&mut self, run: &[Settlement]) -> Result<usize, SqliteQueueError> {
        let settled = self.try_settle(run);
        settled.map_err(|error| self.failed(error))
    }

    fn try_settle(&mut self, run: &[Settlement]) -> rusqlite::Result<usize> {
        let mut settled = 0;
        let mut run = run.iter().peekable();
        while let Some(one) = run.peek() {
            settled += match &one.what {
                // What is done comes in long rows.
                What::Remove => {
                    let removals =
                        std::iter::from_fn(|| run.next_if(|one| one.what == What::Remove));
                    self.remove_all(removals.map(|one| one.lent))?
                }
                What::Return {
                    after,
                    extra,
                    trace,
                } => {
                    let took = self.give_back(one.lent, *after, *extra, trace.as_ref())?;
                    run.next();
                    usize::from(took)
                }
            };
        }
        Ok(settled)
    }

    /// Takes messages out for good; tells how many still were whose lease it was.
    fn remove_all(&mut self, all: impl Iterator<Item = Lent>) -> rusqlite::Result<usize> {
        let mut message = self.transaction.prepare_cached(
            "DELETE FROM towpath_message WHERE id = ?1 AND lease = ?2 RETURNING bytes",
        )?;
        let mut body = self
            .transaction
            .prepare_cached("DELETE FROM towpath_body WHERE id = ?1")?;
        let mut removed = 0;
        for lent in all {
            let bytes = message.query_row((lent.id, lent.lease), |row| row.get(0));
            let bytes: Option<i64> = bytes.optional()?;
            if let Some(bytes) = bytes {
                body.execute([lent.id])?;
                self.counts.messages -= 1;
                self.counts.bytes -= bytes;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn give_back(
        &mut self,
        lent: Lent,
        after: Duration,
        extra: u32,
        trace: Option<&Headers>,
    ) -> rusqlite::Result<bool> {
        let available_at = self.now.saturating_add(millis(after));
        let took = self
            .transaction
            .prepare_cached(
                "UPDATE towpath_message SET available_at = ?3, lease = 0, attempts = attempts + ?4
                 WHERE id = ?1 AND lease = ?2",
            )?
            .execute((lent.id, lent.lease, available_at, extra))?;
        if took == 0 {
            return Ok(false);
        }
        if let Some(trace) = trace {
            self.carry(lent.id, trace)?;
        }
        self.has_news = true;
        Ok(true)
    }

    /// Puts the headers of its trace among those of a message.
    fn carry(&self, id: i64, trace: &Headers) -> rusqlite::Result<()> {
        let before: Option<String> = self
            .transaction
            .prepare_cached("SELECT headers FROM towpath_body WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let headers = headers::read(before.as_deref()).updated(trace);
        self.transaction
            .prepare_cached("UPDATE towpath_body SET headers = ?2 WHERE id = ?1")?
            .execute((id, headers::write(&headers)))?;
        Ok(())
    }

    /// Gives back what was claimed and never handed out: as if it had not been claimed.
    pub(crate) fn release(&mut self, messages: &[Claimed]) -> Result<(), SqliteQueueError> {
        let released = self.try_release(messages);
        released.map_err(|error| self.failed(error))
    }

    fn try_release(&mut self, messages: &[Claimed]) -> rusqlite::Result<()> {
        let mut update = self.transaction.prepare_cached(
            "UPDATE towpath_message SET available_at = ?3, lease = 0, attempts = ?4
             WHERE id = ?1 AND lease = ?2",
        )?;
        for message in messages {
            let (lent, attempts) = (message.lent, message.attempts - 1);
            update.execute((lent.id, lent.lease, message.since, attempts))?;
        }
        self.has_news |= !messages.is_empty();
        Ok(())
    }

    /// Lends messages for another `lease` from now on, to those who have them already.
    pub(crate) fn extend(
        &mut self,
        lent: &[Lent],
        lease: Duration,
    ) -> Result<(), SqliteQueueError> {
        let extended = self.try_extend(lent, self.now.saturating_add(millis(lease)));
        extended.map_err(|error| self.failed(error))
    }

    fn try_extend(&self, lent: &[Lent], until: i64) -> rusqlite::Result<()> {
        let mut update = self.transaction.prepare_cached(
            "UPDATE towpath_message SET available_at = ?3 WHERE id = ?1 AND lease = ?2",
        )?;
        for lent in lent {
            update.execute((lent.id, lent.lease, until))?;
        }
        Ok(())
    }
}
