//! One event of one pipeline, with its number and its time.

use std::time::Duration;

use serde::Serializer;
use towpath_core::{EventKind, StageName};

use super::Timestamp;

/// An event as the log keeps it.
///
/// As data it is one flat object: `{"number": 7, "at": "2026-03-01T12:30:00.250Z", "pipeline":
/// "orders", "since_start_ms": 1500, "stage": "enrich", "kind": "restarted", "restarts": 1}`.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Record {
    /// Its number in this log: the first is 1, and each later one is one more.
    pub number: u64,
    /// When it was logged.
    pub at: Timestamp,
    /// The pipeline.
    pub pipeline: StageName,
    /// The time since the pipeline began.
    #[serde(rename = "since_start_ms", serialize_with = "as_millis")]
    pub since_start: Duration,
    /// The stage it happened at, or the pipeline's own name.
    pub stage: StageName,
    /// What it was.
    #[serde(flatten)]
    pub kind: EventKind,
}

fn as_millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
