//! What a source knows of a message beyond its payload.

use std::{fmt, sync::Arc};

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
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Identity(Arc<str>);

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
    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The identity as it is shared: without a copy.
impl From<&Identity> for Arc<str> {
    fn from(identity: &Identity) -> Self {
        identity.0.clone()
    }
}

impl<S: Into<Arc<str>>> From<S> for Identity {
    fn from(identity: S) -> Self {
        Self(identity.into())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
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
        let all: Arc<[_]> = headers
            .into_iter()
            .map(|(n, v)| (n.into(), v.into()))
            .collect();
        Self((!all.is_empty()).then_some(all))
    }
}
