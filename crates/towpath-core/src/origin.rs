//! What a source knows of a message beyond its payload.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

/// Where a message came from. All of it is optional: not every source knows it.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Origin {
    /// An identity that is the same on redelivery. A part of a message has that of the whole,
    /// `#` and its number; so parts must come in the same order each time.
    pub identity: Option<Identity>,
    /// The place of the message in its source.
    pub position: Option<Position>,
    /// How often the message was tried, this time included; 0 when the source does not know.
    ///
    /// What the source says, and the attempts made in place since: one count.
    pub attempt: u32,
    /// What the source carries beside the payload, trace context included.
    pub headers: Headers,
}

/// An identity that is the same on redelivery: what a sink can deduplicate by.
#[derive(Clone)]
pub struct Identity {
    /// Its own, or of many.
    text: Arc<str>,
    place: (u32, u32),
}

/// A place in a source: an offset, a line number, a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    /// The partition; 0 where a source has but one.
    pub partition: u32,
    /// The offset in the partition.
    pub offset: u64,
}

/// Names and values that travel beside a payload. Cloning shares them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers(Option<Arc<[(String, String)]>>);

// === impl Origin ===

impl Origin {
    /// With a place in the source.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        let partition = self.position.map_or(0, |p| p.partition);
        self.position = Some(Position { partition, offset });
        self
    }

    /// With a place in a partition of the source.
    #[must_use]
    pub fn in_partition(mut self, partition: u32, offset: u64) -> Self {
        self.position = Some(Position { partition, offset });
        self
    }

    /// With an identity that is the same on redelivery.
    #[must_use]
    pub fn identified(mut self, identity: impl Into<Identity>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// With the number of deliveries so far, this one included.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// With attempts that were made in place; what the source does not know was one.
    pub(crate) fn tried_again(self, extra: u32) -> Self {
        if extra == 0 {
            return self;
        }
        let attempt = self.attempt.max(1).saturating_add(extra);
        self.attempt(attempt)
    }

    /// Of a part of the message: its identity has the number of the part.
    pub(crate) fn part(mut self, number: u32) -> Self {
        let whole = self.identity.take();
        self.identity = whole.map(|whole| Identity::from(format!("{whole}#{number}")));
        self
    }

    /// With headers.
    #[must_use]
    pub fn headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }
}

// === impl Identity ===

impl Identity {
    /// A part of a text: the identities of messages that came together can share one piece of
    /// memory, which lives as long as one of them. Empty where the text has no such part.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use towpath_core::Identity;
    ///
    /// let all: Arc<str> = "orders:7orders:8".into();
    /// assert_eq!(Identity::part_of(&all, 8..16), Identity::from("orders:8"));
    /// ```
    #[must_use]
    pub fn part_of(text: &Arc<str>, place: Range<usize>) -> Self {
        let number = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            text: Arc::clone(text),
            place: (number(place.start), number(place.end)),
        }
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        let (from, to) = self.place;
        self.text
            .get(from as usize..to as usize)
            .unwrap_or_default()
    }
}

/// The identity as it is shared: without a copy, unless it is a part of something longer.
impl From<&Identity> for Arc<str> {
    fn from(identity: &Identity) -> Self {
        let text = identity.as_str();
        if text.len() == identity.text.len() {
            identity.text.clone()
        } else {
            text.into()
        }
    }
}

impl<S: Into<Arc<str>>> From<S> for Identity {
    fn from(identity: S) -> Self {
        let text = identity.into();
        Self::part_of(&text, 0..text.len())
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Identity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Identity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl serde::Serialize for Identity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

// === impl Position ===

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

// === impl Headers ===

impl Headers {
    /// The value of the first header of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// These, and those of `newer`, which take the place of others of the same name.
    #[must_use]
    pub fn updated(&self, newer: &Self) -> Self {
        if newer.is_empty() {
            return self.clone();
        }
        let kept = self.iter().filter(|(name, _)| newer.get(name).is_none());
        kept.chain(newer.iter()).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// All headers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.as_deref().unwrap_or_default();
        all.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// A map, by name.
impl serde::Serialize for Headers {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let mut headers = headers.into_iter().peekable();
        if headers.peek().is_none() {
            return Self::default();
        }
        let all = headers.map(|(n, v)| (n.into(), v.into()));
        Self(Some(all.collect()))
    }
}
