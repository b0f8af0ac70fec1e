//! What is put into a queue.

use std::time::Duration;

use bytes::Bytes;
use towpath_core::Headers;

/// A message to be put into a queue: a payload, and what goes along with it.
///
/// ```
/// use std::time::Duration;
/// use towpath_sqlite::Entry;
///
/// let entry = Entry::new("remind me")
///     .key("customer-7")
///     .delay(Duration::from_secs(60))
///     .dedup_id("reminder-7-1");
/// # let _ = entry;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "an entry does nothing until it is enqueued"]
pub struct Entry {
    pub(crate) payload: Bytes,
    pub(crate) key: Option<String>,
    pub(crate) headers: Headers,
    pub(crate) delay: Duration,
    pub(crate) dedup_id: Option<String>,
}

impl Entry {
    /// A payload, to be delivered as soon as somebody takes it.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            ..Self::default()
        }
    }

    /// With a key: what it belongs to. It is for whoever works on the message; the queue
    /// itself makes nothing of it.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With headers, in place of those it had.
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// To be delivered no sooner than after `delay`, to the millisecond.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// With an id, by which the same message is known again: what comes with the id of a
    /// message that the queue remembers is not put in a second time.
    pub fn dedup_id(mut self, id: impl Into<String>) -> Self {
        self.dedup_id = Some(id.into());
        self
    }

    /// The bytes that count against the limits.
    pub(crate) fn weight(&self) -> u64 {
        let key = self.key.as_ref().map_or(0, String::len);
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len());
        (self.payload.len() + key + headers.sum::<usize>()) as u64
    }
}

impl<P: Into<Bytes>> From<P> for Entry {
    fn from(payload: P) -> Self {
        Self::new(payload)
    }
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Enqueued {
    /// The number of the message in its queue: later ones have higher numbers.
    pub id: u64,
    /// Whether it was put in. If not, the queue remembers a message with the same dedup id:
    /// the number is that one's.
    pub is_new: bool,
}
