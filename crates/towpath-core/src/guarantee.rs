//! What sources, stages and sinks promise, and what they promise together.

use std::fmt;

/// What a pipeline promises for each message of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Guarantee {
    /// Each message has its effect at most once; a crash may lose what was in flight.
    AtMostOnce,
    /// Each message has its effect at least once; a crash may repeat what was in flight.
    AtLeastOnce,
    /// Repeats leave no trace: the sink is idempotent or transactional.
    EffectivelyOnce,
}

/// Whether a source delivers again what was given back or never settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Redelivery {
    /// What is given back is lost, or must be sent again by whoever made it.
    #[default]
    Never,
    /// Within this process only: a crash loses what was in flight.
    InProcess,
    /// Over a crash too: the source keeps a message until it is settled.
    Durable,
}

/// How a source settles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settlement {
    /// Each message by itself.
    #[default]
    Individual,
    /// Up to a position per partition: only contiguous prefixes are committed.
    Cumulative,
}

/// What a sink promises when the same message comes twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SinkPromise {
    /// Each write has its effect: a repeat shows.
    #[default]
    Plain,
    /// A repeat leaves the same state: upserts, keyed writes, deduplication.
    Idempotent,
}

impl Guarantee {
    /// What a source and a sink promise together.
    #[must_use]
    pub fn of(source: Redelivery, sink: SinkPromise) -> Self {
        match (source, sink) {
            (Redelivery::Never | Redelivery::InProcess, _) => Self::AtMostOnce,
            (Redelivery::Durable, SinkPromise::Plain) => Self::AtLeastOnce,
            (Redelivery::Durable, SinkPromise::Idempotent) => Self::EffectivelyOnce,
        }
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtMostOnce => "at most once",
            Self::AtLeastOnce => "at least once",
            Self::EffectivelyOnce => "effectively once",
        })
    }
}
