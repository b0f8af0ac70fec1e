//! What the suite puts in and expects to come out.

use std::fmt;

/// A message as the suite sees it, whatever the system behind the connector makes of it.
///
/// The payload is any bytes, also none. The key is what the system keeps in order: a
/// partition key, a subject, a column. Headers are those of the user, trace and attempt
/// included, where the system carries any.
#[derive(Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Parcel {
    /// What the system keeps in order, where it knows such a thing; may be empty.
    pub key: String,
    /// Any bytes.
    pub payload: Vec<u8>,
    /// Names and values beside the payload.
    pub headers: Vec<(String, String)>,
}

// === impl Parcel ===

impl Parcel {
    /// A parcel without headers.
    pub fn new(key: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            key: key.into(),
            payload: payload.into(),
            headers: Vec::new(),
        }
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The parcel number `n` of a test: its payload is the number as text.
    pub fn numbered(n: usize) -> Self {
        Self::new(format!("key-{}", n % KEYS), n.to_string())
    }

    /// The number of a parcel: the text at the beginning of its payload, up to a space.
    pub fn number(&self) -> Option<usize> {
        let text = self.payload.split(|byte| *byte == b' ').next()?;
        str::from_utf8(text).ok()?.parse().ok()
    }
}

/// How many keys numbered parcels have.
pub(crate) const KEYS: usize = 8;

/// Payloads may be large: the beginning says enough.
impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.payload[..self.payload.len().min(40)]);
        write!(f, "{}/{text:?} of {} bytes", self.key, self.payload.len())?;
        if !self.headers.is_empty() {
            write!(f, " {:?}", self.headers)?;
        }
        Ok(())
    }
}
