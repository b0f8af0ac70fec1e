//! A message on its way into a queue.

use std::time::Duration;

use bytes::Bytes;
use towpath_core::{Headers, trace};

/// A message on its way into a queue: its payload, and what else there is.
///
/// ```
/// use std::time::Duration;
/// use towpath_postgres::Entry;
///
/// let reminder = Entry::new("pay the bill").key("customer 7").delay(Duration::from_secs(3600));
/// # let _ = reminder;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub(super) payload: Bytes,
    pub(super) key: Option<String>,
    pub(super) headers: Headers,
    pub(super) delay: Duration,
}

impl Entry {
    /// A message that may be delivered at once.
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            ..Self::default()
        }
    }

    /// With a key, which its receiver sees; the queue does not look at it.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With headers.
    #[must_use]
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// Delivered no sooner than this after it was enqueued, by the clock of the server.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The headers as JSON, with those of the trace that is current here; `None` for none.
    pub(super) fn written_headers(&self) -> Option<String> {
        written(&self.headers.updated(&trace::inject()))
    }
}

/// Headers as JSON; `None` where there is none.
pub(crate) fn written(headers: &Headers) -> Option<String> {
    let some = !headers.is_empty();
    // An object of texts always can be written.
    some.then(|| serde_json::to_string(headers).unwrap_or_default())
}

/// Reads headers from JSON; what is no text is kept as it is written.
pub(crate) fn read(json: Option<&str>) -> Headers {
    let object = json.and_then(|json| serde_json::from_str(json).ok());
    let object: serde_json::Map<String, serde_json::Value> = object.unwrap_or_default();
    let headers = object.into_iter().map(|(name, value)| match value {
        serde_json::Value::String(text) => (name, text),
        other => (name, other.to_string()),
    });
    headers.collect()
}

impl<P: Into<Bytes>> From<P> for Entry {
    fn from(payload: P) -> Self {
        Self::new(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_were_whatever_they_hold() {
        let headers: Headers = [("a", "1"), ("b", "\0 \" ä")].into_iter().collect();
        let json = written(&headers).unwrap();
        assert_eq!(read(Some(&json)), headers);
        assert_eq!(written(&Headers::default()), None);
        assert_eq!(read(None), Headers::default());
    }

    #[test]
    fn headers_that_somebody_else_has_written_are_read_as_far_as_they_can_be() {
        let headers = read(Some(
            r#"{"count": 3, "tenant": "a", "nested": {"b": null}}"#,
        ));
        assert_eq!(headers.get("count"), Some("3"));
        assert_eq!(headers.get("tenant"), Some("a"));
        assert_eq!(headers.get("nested"), Some(r#"{"b":null}"#));
        assert!(read(Some("[1]")).is_empty());
    }
}
