//! Putting messages in.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use super::{Book, Counts, millis};
use crate::{Enqueued, Entry, SqliteQueueError, SqliteQueueOptions, queue::headers};

/// How many ids are forgotten in one go, beyond as many as are added.
const FORGOTTEN: usize = 100;

/// What to do with entries for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Put all in, or none.
    ForAll,
    /// Put those in that fit, in order, but at least one.
    ForSome,
}

impl Book<'_> {
    /// Puts entries in, as far as there is room: tells what became of the first ones.
    pub(crate) fn enqueue(
        &mut self,
        entries: &[Entry],
        room: Room,
        options: &SqliteQueueOptions,
    ) -> Result<Vec<Enqueued>, SqliteQueueError> {
        let known = self.known(entries).map_err(|e| self.failed(e))?;
        let fitting = self.fitting(entries, &known, options);
        let is_enough = match room {
            Room::ForAll => fitting == entries.len(),
            Room::ForSome => fitting > 0 || entries.is_empty(),
        };
        if !is_enough {
            return Err(self.full(options));
        }
        let put = self.put_all(&entries[..fitting], &known, options);
        put.map_err(|error| self.failed(error))
    }

    /// The messages that the queue remembers by the ids of entries.
    fn known(&self, entries: &[Entry]) -> rusqlite::Result<HashMap<String, i64>> {
        let mut known = HashMap::new();
        let mut select = self.transaction.prepare_cached(
            "SELECT message FROM towpath_dedup WHERE dedup_id = ?1 AND until > ?2",
        )?;
        for id in entries.iter().filter_map(|entry| entry.dedup_id.as_ref()) {
            let message = select
                .query_row((id, self.now), |row| row.get(0))
                .optional()?;
            if let Some(message) = message {
                known.insert(id.clone(), message);
            }
        }
        Ok(known)
    }

    /// How many of the entries there is room for, from the first on.
    fn fitting(
        &self,
        entries: &[Entry],
        known: &HashMap<String, i64>,
        options: &SqliteQueueOptions,
    ) -> usize {
        let depth = self.depth();
        let (mut messages, mut bytes) = (depth.messages, depth.bytes);
        let mut ids = std::collections::HashSet::new();
        let fits = entries.iter().take_while(|entry| {
            let id = entry.dedup_id.as_deref();
            if id.is_some_and(|id| known.contains_key(id) || !ids.insert(id)) {
                return true;
            }
            messages += 1;
            bytes = bytes.saturating_add(entry.weight());
            messages <= options.max_messages && bytes <= options.max_bytes
        });
        fits.count()
    }

    fn full(&self, options: &SqliteQueueOptions) -> SqliteQueueError {
        let depth = self.depth();
        SqliteQueueError::Full {
            path: self.path.clone(),
            messages: depth.messages,
            max_messages: options.max_messages,
            bytes: depth.bytes,
            max_bytes: options.max_bytes,
        }
    }

    fn put_all(
        &mut self,
        entries: &[Entry],
        known: &HashMap<String, i64>,
        options: &SqliteQueueOptions,
    ) -> rusqlite::Result<Vec<Enqueued>> {
        let mut done = Vec::with_capacity(entries.len());
        let mut added: HashMap<&str, i64> = HashMap::new();
        let mut inserts = Inserts::prepare(&self.transaction)?;
        for entry in entries {
            let id = entry.dedup_id.as_deref();
            let before = id.and_then(|id| known.get(id).or_else(|| added.get(id)));
            let (message, is_new) = match before {
                Some(message) => (*message, false),
                None => (inserts.put(entry, &mut self.counts, self.now)?, true),
            };
            if let (Some(id), true) = (id, is_new) {
                remember(&self.transaction, id, message, self.now, options)?;
                added.insert(id, message);
            }
            self.has_news |= is_new;
            let id = message.try_into().unwrap_or(0);
            done.push(Enqueued { id, is_new });
        }
        drop(inserts);
        if !added.is_empty() {
            self.forget(added.len() + FORGOTTEN)?;
        }
        Ok(done)
    }

    /// Forgets ids whose time is over, but not very many at once.
    fn forget(&self, at_most: usize) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached(
                "DELETE FROM towpath_dedup WHERE dedup_id IN
                 (SELECT dedup_id FROM towpath_dedup WHERE until <= ?1 ORDER BY until LIMIT ?2)",
            )?
            .execute((self.now, i64::try_from(at_most).unwrap_or(i64::MAX)))?;
        Ok(())
    }
}

/// The statements that put a message in: looked up once for many.
struct Inserts<'c> {
    message: CachedStatement<'c>,
    body: CachedStatement<'c>,
}

impl<'c> Inserts<'c> {
    fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |sql| connection.prepare_cached(sql);
        Ok(Self {
            message: prepare("INSERT INTO towpath_message VALUES (?1, ?2, 0, 0, ?3)")?,
            body: prepare("INSERT INTO towpath_body VALUES (?1, ?2, ?3, ?4)")?,
        })
    }

    fn put(&mut self, entry: &Entry, counts: &mut Counts, now: i64) -> rusqlite::Result<i64> {
        let id = counts.last_message + 1;
        let available_at = now.saturating_add(millis(entry.delay));
        let bytes = i64::try_from(entry.weight()).unwrap_or(i64::MAX);
        self.message.execute((id, available_at, bytes))?;
        let headers = headers::write(&entry.headers);
        self.body
            .execute((id, &entry.key, headers, &entry.payload[..]))?;
        counts.last_message = id;
        counts.messages += 1;
        counts.bytes = counts.bytes.saturating_add(bytes);
        Ok(id)
    }
}

fn remember(
    connection: &Connection,
    id: &str,
    message: i64,
    now: i64,
    options: &SqliteQueueOptions,
) -> rusqlite::Result<()> {
    let until = now.saturating_add(millis(options.dedup_for));
    connection
        .prepare_cached("INSERT OR REPLACE INTO towpath_dedup VALUES (?1, ?2, ?3)")?
        .execute((id, message, until))?;
    Ok(())
}
