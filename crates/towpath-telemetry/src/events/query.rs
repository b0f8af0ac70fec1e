//! Which records are asked for.

use towpath_core::StageName;

use super::{Record, Timestamp};

/// Chooses records of an [`EventLog`](super::EventLog); what is not said does not matter.
///
/// ```
/// use std::time::Duration;
/// use towpath_telemetry::events::{Query, Timestamp};
///
/// let last_hour = Timestamp::now().before(Duration::from_secs(3600));
/// let troubles = Query::new()
///     .pipeline("orders")
///     .kind("source_failed")
///     .kind("breaker_changed")
///     .since(last_hour)
///     .limit(20);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Query {
    pipeline: Option<StageName>,
    stage: Option<StageName>,
    kinds: Vec<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: Option<usize>,
}

impl Query {
    /// Every record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of one pipeline.
    pub fn pipeline(mut self, pipeline: impl Into<StageName>) -> Self {
        self.pipeline = Some(pipeline.into());
        self
    }

    /// Those of one stage. What happens to a pipeline as a whole is at a stage of its own name.
    pub fn stage(mut self, stage: impl Into<StageName>) -> Self {
        self.stage = Some(stage.into());
        self
    }

    /// Those of one kind, by its [word](towpath_core::EventKind::word). Said more than once:
    /// of any of these kinds.
    pub fn kind(mut self, word: impl Into<String>) -> Self {
        self.kinds.push(word.into());
        self
    }

    /// Those logged at this moment or later.
    pub fn since(mut self, moment: Timestamp) -> Self {
        self.since = Some(moment);
        self
    }

    /// Those logged before this moment.
    pub fn until(mut self, moment: Timestamp) -> Self {
        self.until = Some(moment);
        self
    }

    /// No more than the last `records` of them.
    pub fn limit(mut self, records: usize) -> Self {
        self.limit = Some(records);
        self
    }

    pub(super) fn most(&self) -> usize {
        self.limit.unwrap_or(usize::MAX)
    }

    /// Whether it asks for `record`, whatever its limit.
    pub fn matches(&self, record: &Record) -> bool {
        self.pipeline.as_ref().is_none_or(|p| *p == record.pipeline)
            && self.stage.as_ref().is_none_or(|s| *s == record.stage)
            && (self.kinds.is_empty() || self.kinds.iter().any(|k| k == record.kind.word()))
            && self.since.is_none_or(|since| record.at >= since)
            && self.until.is_none_or(|until| record.at < until)
    }
}
