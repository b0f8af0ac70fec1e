//! Hears what comes.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use super::{Record, rings::Rings};

/// Hears the records of a log in the order of their numbers.
///
/// It holds no copies: it reads on in what the log holds. Who is so slow that records are gone
/// is told how many. Nobody waits for it.
pub struct Subscription {
    rings: Arc<Mutex<Rings>>,
    news: watch::Receiver<()>,
    heard: u64,
    ahead: Option<Arc<Record>>,
}

/// What a [`Subscription`] hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The next record.
    Record(Arc<Record>),
    /// So many records were pushed out before they were heard.
    Missed(u64),
}

impl Subscription {
    pub(super) fn new(rings: Arc<Mutex<Rings>>, news: watch::Receiver<()>, heard: u64) -> Self {
        Self {
            rings,
            news,
            heard,
            ahead: None,
        }
    }

    /// Waits for the next record; `None` once everything is heard and the log itself is gone.
    ///
    /// # Cancel safety
    /// Cancel safe: what it did not return is heard by the next call.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            self.news.mark_unchanged();
            if let Some(heard) = self.try_next() {
                return Some(heard);
            }
            if self.news.changed().await.is_err() {
                return self.try_next();
            }
        }
    }

    /// The next record, if there is one.
    pub fn try_next(&mut self) -> Option<Heard> {
        let record = self.ahead.take().or_else(|| self.look())?;
        let missed = record.number - self.heard - 1;
        if missed > 0 {
            self.heard += missed;
            self.ahead = Some(record);
            return Some(Heard::Missed(missed));
        }
        self.heard = record.number;
        Some(Heard::Record(record))
    }

    fn look(&self) -> Option<Arc<Record>> {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.after(self.heard)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("heard", &self.heard)
            .finish_non_exhaustive()
    }
}
