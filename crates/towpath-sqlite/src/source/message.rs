//! A message as a queue hands it out.

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::Entry;

/// A message of a queue: its bytes, and what goes along with them. Headers are those of its
/// [`Origin`](towpath_core::Origin).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SqliteMessage {
    /// The number of the message in its queue.
    pub id: u64,
    /// What it belongs to, where whoever put it in said so.
    pub key: Option<String>,
    /// Its bytes.
    pub payload: Bytes,
}

impl AsRef<[u8]> for SqliteMessage {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

/// The payload and the key, as they were put in.
impl From<SqliteMessage> for Entry {
    fn from(queued: SqliteMessage) -> Self {
        let entry = Self::new(queued.payload);
        match queued.key {
            Some(key) => entry.key(key),
            None => entry,
        }
    }
}

/// With the payload as text where it is UTF-8, and as a list of bytes where it is not.
impl Serialize for SqliteMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut queued = serializer.serialize_struct("SqliteMessage", 3)?;
        queued.serialize_field("id", &self.id)?;
        queued.serialize_field("key", &self.key)?;
        match std::str::from_utf8(&self.payload) {
            Ok(text) => queued.serialize_field("payload", text)?,
            Err(_) => queued.serialize_field("payload", &self.payload[..])?,
        }
        queued.end()
    }
}
