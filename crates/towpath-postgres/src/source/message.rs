//! A message as it comes out of a queue.

use bytes::Bytes;
use serde::{Serialize, Serializer};

/// A message as it comes out of a queue. Its headers are in its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PostgresMessage {
    /// What it is called in its table: later ones have higher numbers.
    pub id: i64,
    /// Its key, where it has one.
    pub key: Option<String>,
    /// What it holds. In a dead letter a text, if it is one, and else a list of bytes.
    #[serde(serialize_with = "text_or_bytes")]
    pub payload: Bytes,
}

impl AsRef<[u8]> for PostgresMessage {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

fn text_or_bytes<S: Serializer>(payload: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(payload) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => serializer.collect_seq(payload.iter()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_written_as_text_where_it_is_text() {
        let job = |payload: &'static [u8]| PostgresMessage {
            id: 7,
            key: None,
            payload: Bytes::from_static(payload),
        };
        let text = serde_json::to_string(&job(b"ab")).unwrap();
        assert_eq!(text, r#"{"id":7,"key":null,"payload":"ab"}"#);
        let bytes = serde_json::to_string(&job(&[255, 0])).unwrap();
        assert_eq!(bytes, r#"{"id":7,"key":null,"payload":[255,0]}"#);
    }
}
