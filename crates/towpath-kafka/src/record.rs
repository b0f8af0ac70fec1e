//! A record as it came from a topic.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeSeq as _};
use towpath_core::Headers;

use crate::text::Shown;

/// A record as it came from a topic. A clone shares all of it.
///
/// As bytes it is its payload, so that decoders take it; a tombstone is empty. In a dead
/// letter, bytes that are no text are shown as `{"base64": ".."}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KafkaRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition of the topic.
    pub partition: i32,
    /// The place in the partition.
    pub offset: u64,
    /// What decides on the partition, and what compaction goes by.
    pub key: Option<Bytes>,
    /// The payload; `None` is a tombstone, which is not the same as an empty one.
    pub payload: Option<Bytes>,
    /// When it was made or appended, in milliseconds since 1970, where that is known.
    pub timestamp_ms: Option<i64>,
    /// What travels beside the payload, also what is no text.
    pub headers: KafkaHeaders,
}

/// Names and values beside a payload, in order; a name may be there more than once, and a
/// value may be any bytes, or none. Cloning shares them.
///
/// ```
/// use towpath_kafka::KafkaHeaders;
///
/// let headers: KafkaHeaders = [("tenant", "a")].into_iter().collect();
/// assert_eq!(headers.get("tenant"), Some(&b"a"[..]));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaHeaders(Option<Arc<[Entry]>>);

/// A name and its value.
pub(crate) type Entry = (String, Option<Bytes>);

// === impl KafkaRecord ===

impl KafkaRecord {
    /// The same, with a key and a payload that share no memory with others.
    pub(crate) fn apart(&self) -> Self {
        let copied = |bytes: &Option<Bytes>| bytes.as_deref().map(Bytes::copy_from_slice);
        Self {
            key: copied(&self.key),
            payload: copied(&self.payload),
            ..self.clone()
        }
    }
}

impl AsRef<[u8]> for KafkaRecord {
    fn as_ref(&self) -> &[u8] {
        self.payload.as_deref().unwrap_or_default()
    }
}

impl Serialize for KafkaRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut record = serializer.serialize_struct("KafkaRecord", 7)?;
        record.serialize_field("topic", &*self.topic)?;
        record.serialize_field("partition", &self.partition)?;
        record.serialize_field("offset", &self.offset)?;
        record.serialize_field("key", &self.key.as_deref().map(Shown))?;
        record.serialize_field("payload", &self.payload.as_deref().map(Shown))?;
        record.serialize_field("timestamp_ms", &self.timestamp_ms)?;
        record.serialize_field("headers", &self.headers)?;
        record.end()
    }
}

// === impl KafkaHeaders ===

impl KafkaHeaders {
    /// The value of the last header of that name, as Kafka's own clients read it; `None` also
    /// where it has no value.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.entries().iter().rfind(|(known, _)| known == name);
        found.and_then(|(_, value)| value.as_deref())
    }

    /// All headers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let all = self.entries().iter();
        all.map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Those that are text, as the rest of the pipeline sees them.
    pub(crate) fn texts(&self) -> Headers {
        let texts = self.iter().filter_map(|(name, value)| {
            let text = str::from_utf8(value?).ok()?;
            Some((name, text))
        });
        texts.collect()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        self.0.as_deref().unwrap_or_default()
    }

    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        Self((!entries.is_empty()).then(|| entries.into()))
    }
}

impl<N: Into<String>, V: Into<Bytes>> FromIterator<(N, V)> for KafkaHeaders {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let all = headers.into_iter();
        Self::of(all.map(|(n, v)| (n.into(), Some(v.into()))).collect())
    }
}

/// A list of pairs: a name may be there more than once.
impl Serialize for KafkaHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.entries().len()))?;
        for (name, value) in self.iter() {
            list.serialize_element(&(name, value.map(Shown)))?;
        }
        list.end()
    }
}

impl fmt::Debug for KafkaHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(payload: Option<&'static [u8]>) -> KafkaRecord {
        KafkaRecord {
            topic: "orders".into(),
            partition: 3,
            offset: 7,
            key: None,
            payload: payload.map(Bytes::from_static),
            timestamp_ms: Some(12),
            headers: KafkaHeaders::of(vec![
                ("a".to_owned(), Some(Bytes::from_static(b"text"))),
                ("b".to_owned(), Some(Bytes::from_static(b"\xff"))),
                ("c".to_owned(), None),
                ("a".to_owned(), Some(Bytes::from_static(b"again"))),
            ]),
        }
    }

    #[test]
    fn a_dead_letter_shows_text_as_text_and_a_tombstone_as_null() {
        let shown = serde_json::to_value(record(None)).unwrap();
        assert_eq!(
            shown,
            serde_json::json!({
                "topic": "orders", "partition": 3, "offset": 7, "key": null, "payload": null,
                "timestamp_ms": 12,
                "headers": [["a", "text"], ["b", {"base64": "/w=="}], ["c", null], ["a", "again"]],
            })
        );
        let shown = serde_json::to_value(record(Some(b""))).unwrap();
        assert_eq!(shown["payload"], "");
    }

    #[test]
    fn headers_that_are_no_text_stay_with_the_record() {
        let record = record(Some(b"x"));
        let texts = record.headers.texts();
        assert_eq!(
            texts.iter().collect::<Vec<_>>(),
            [("a", "text"), ("a", "again")]
        );
        assert_eq!(record.headers.get("b"), Some(&b"\xff"[..]));
        assert_eq!(
            record.headers.get("a"),
            Some(&b"again"[..]),
            "the last one counts"
        );
        assert_eq!(record.headers.get("c"), None);
    }

    #[test]
    fn a_record_is_its_payload_to_a_decoder_and_a_tombstone_is_empty() {
        assert_eq!(record(Some(b"x")).as_ref(), b"x");
        assert_eq!(record(None).as_ref(), b"");
    }
}
