//! A message as a source of a stream hands it out.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use towpath_core::Headers;

/// A message of a stream. Cloning shares its bytes and headers.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct JetStreamMessage {
    /// The subject it was published to.
    pub subject: String,
    /// What was published.
    pub payload: Bytes,
    /// The headers it was published with.
    pub headers: Headers,
    /// The stream that holds it.
    pub stream: Arc<str>,
    /// Its sequence in the stream.
    pub stream_sequence: u64,
    /// How often the server has delivered it, this time included; 1 the first time.
    pub delivered: u32,
    /// When the stream has stored it, since the beginning of 1970.
    pub published: Duration,
}

impl AsRef<[u8]> for JetStreamMessage {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

impl From<JetStreamMessage> for Bytes {
    fn from(message: JetStreamMessage) -> Self {
        message.payload
    }
}

/// With the payload as text where it is text, and as a list of its bytes where it is not.
impl Serialize for JetStreamMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut message = serializer.serialize_struct("JetStreamMessage", 6)?;
        message.serialize_field("subject", &self.subject)?;
        match std::str::from_utf8(&self.payload) {
            Ok(text) => message.serialize_field("payload", text)?,
            Err(_) => message.serialize_field("payload", &self.payload[..])?,
        }
        message.serialize_field("headers", &self.headers)?;
        message.serialize_field("stream", &self.stream)?;
        message.serialize_field("stream_sequence", &self.stream_sequence)?;
        message.serialize_field("delivered", &self.delivered)?;
        message.end()
    }
}

/// Without its payload, which may be long and is nobody's business.
impl fmt::Debug for JetStreamMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamMessage")
            .field("subject", &self.subject)
            .field("bytes", &self.payload.len())
            .field("stream", &self.stream)
            .field("stream_sequence", &self.stream_sequence)
            .field("delivered", &self.delivered)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &'static [u8]) -> JetStreamMessage {
        JetStreamMessage {
            subject: "orders.new".to_owned(),
            payload: Bytes::from_static(payload),
            headers: [("kind", "test")].into_iter().collect(),
            stream: "ORDERS".into(),
            stream_sequence: 17,
            delivered: 2,
            published: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_dead_letter_shows_text_as_text_and_bytes_as_bytes() {
        let text = serde_json::to_value(message(b"hello")).unwrap();
        assert_eq!(text["payload"], "hello");
        assert_eq!(text["headers"]["kind"], "test");
        assert_eq!(text["stream_sequence"], 17);
        let bytes = serde_json::to_value(message(&[0, 255])).unwrap();
        assert_eq!(bytes["payload"], serde_json::json!([0, 255]));
    }

    #[test]
    fn a_payload_is_not_printed() {
        let shown = format!("{:?}", message(b"private"));
        assert!(!shown.contains("private"), "{shown}");
        assert!(shown.contains("17"), "{shown}");
    }
}
