//! A message to be published.

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use towpath_core::Headers;

/// A message that a sink publishes. Cloning shares its bytes and headers.
///
/// ```
/// use towpath_nats::Publish;
///
/// let order = Publish::new("orders.new", r#"{"id": 17}"#)
///     .id("order-17")
///     .header("content-type", "application/json");
/// assert_eq!(order.subject, "orders.new");
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct Publish {
    /// The subject it goes to; a stream must take it.
    pub subject: String,
    /// What is published; may be empty.
    pub payload: Bytes,
    /// The headers to send along, beside those of its trace.
    pub headers: Headers,
    /// By what the stream knows it again within its duplicate window; unless set, it is made of
    /// the identity of the message that this one comes from.
    pub id: Option<String>,
}

impl Publish {
    /// A payload for a subject.
    pub fn new(subject: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            subject: subject.into(),
            payload: payload.into(),
            headers: Headers::default(),
            id: None,
        }
    }

    /// With the id by which the stream knows it again.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// With one header more.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let one = (name.into(), value.into());
        let before = self
            .headers
            .iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()));
        self.headers = before.chain([one]).collect();
        self
    }

    /// With these headers.
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }
}

impl AsRef<[u8]> for Publish {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

/// With the payload as text where it is text, and as a list of its bytes where it is not.
impl Serialize for Publish {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut publish = serializer.serialize_struct("Publish", 4)?;
        publish.serialize_field("subject", &self.subject)?;
        match std::str::from_utf8(&self.payload) {
            Ok(text) => publish.serialize_field("payload", text)?,
            Err(_) => publish.serialize_field("payload", &self.payload[..])?,
        }
        publish.serialize_field("headers", &self.headers)?;
        publish.serialize_field("id", &self.id)?;
        publish.end()
    }
}

/// Without its payload, which may be long and is nobody's business.
impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("subject", &self.subject)
            .field("bytes", &self.payload.len())
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
