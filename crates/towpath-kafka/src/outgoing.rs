//! A record as it goes to a topic.

use bytes::Bytes;

use crate::{KafkaHeaders, KafkaRecord};

/// A record as it goes to a topic.
///
/// ```
/// use towpath_kafka::Record;
///
/// let paid = Record::new("paid").key("order-7").header("tenant", "a");
/// let gone = Record::tombstone("order-8").topic("orders");
/// assert_eq!((paid.payload.is_some(), gone.payload), (true, None));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The topic; `None` for the one of the sink.
    pub topic: Option<String>,
    /// The partition; `None` lets the key decide, or chance where there is no key.
    pub partition: Option<i32>,
    /// What decides on the partition, and what compaction goes by.
    pub key: Option<Bytes>,
    /// The payload; `None` is a tombstone: compaction removes the key.
    pub payload: Option<Bytes>,
    /// When it was made, in milliseconds since 1970; `None` for now.
    pub timestamp_ms: Option<i64>,
    /// What travels beside the payload. The headers of the trace and the attempts are added,
    /// and take the place of others of the same name.
    pub headers: KafkaHeaders,
}

// === impl Record ===

impl Record {
    /// A payload for the topic of the sink.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: Some(payload.into()),
            ..Self::default()
        }
    }

    /// Nothing under a key: compaction removes what is there.
    pub fn tombstone(key: impl Into<Bytes>) -> Self {
        Self {
            key: Some(key.into()),
            ..Self::default()
        }
    }

    /// To a topic of its own.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// To this partition, whatever the key.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// With another payload.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// Under a key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// When it was made, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        let mut entries = self.headers.entries().to_vec();
        entries.push((name.into(), Some(value.into())));
        self.headers = KafkaHeaders::of(entries);
        self
    }

    /// With these headers and no others.
    #[must_use]
    pub fn headers(mut self, headers: KafkaHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// What it weighs against the limit, without what the protocol adds.
    pub(crate) fn size(&self) -> usize {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers = self.headers.entries().iter();
        let headers: usize = headers.map(|(name, v)| name.len() + length(v)).sum();
        length(&self.payload) + length(&self.key) + headers
    }
}

macro_rules! from_payload {
    ($($payload:ty),*) => {$(
        /// A payload for the topic of the sink.
        impl From<$payload> for Record {
            fn from(payload: $payload) -> Self {
                Self::new(payload)
            }
        }
    )*};
}

from_payload!(Bytes, Vec<u8>, String, &'static str);

/// The same record for the topic of the sink: key, payload, time and headers, wherever it
/// came from.
impl From<KafkaRecord> for Record {
    fn from(record: KafkaRecord) -> Self {
        Self {
            topic: None,
            partition: None,
            key: record.key,
            payload: record.payload,
            timestamp_ms: record.timestamp_ms,
            headers: record.headers,
        }
    }
}
