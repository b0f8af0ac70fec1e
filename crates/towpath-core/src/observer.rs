//! What stages report, and to whom.

use std::time::Duration;

use crate::{BreakerState, Cause, ForcedBreaker, StageName};

/// Is told what happens in a pipeline: life-cycle events, never single messages on the hot path.
///
/// Called from the pipeline's tasks: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// Something that happened in a pipeline.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The time since the pipeline began.
    pub at: Duration,
    /// The stage it happened at, or the pipeline's own name.
    pub stage: StageName,
    /// What it was.
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// The pipeline runs.
    Started,
    /// Sources are no longer asked.
    Paused,
    /// Sources are asked again.
    Resumed,
    /// The pipeline finishes what it took and takes no more.
    Draining,
    /// The pipeline has ended.
    Stopped,
    /// A worker died and was started again.
    Restarted {
        /// How often in this run, this time included.
        restarts: u64,
    },
    /// A source could not be reached; it is tried again after a backoff.
    SourceFailed {
        /// What the source said.
        error: String,
        /// The backoff.
        retry_in: Duration,
    },
    /// A message was rejected.
    Rejected {
        /// Why.
        cause: Cause,
    },
    /// Outcomes could not be told to a source.
    SettleFailed {
        /// What the source said.
        error: String,
        /// How many outcomes.
        count: usize,
    },
    /// The concurrency of a stage was changed.
    ConcurrencyChanged {
        /// The new limit.
        concurrency: usize,
    },
    /// The rate limit of a stage was changed.
    RateChanged {
        /// The calls of a period.
        calls: u64,
        /// The period.
        per: Duration,
    },
    /// The circuit breaker of a stage was forced open or closed, or let decide again.
    BreakerForced {
        /// Who decides from now on.
        forced: ForcedBreaker,
    },
    /// The circuit breaker of a stage went from one state to another.
    BreakerChanged {
        /// The state before.
        from: BreakerState,
        /// The state now.
        to: BreakerState,
    },
}

impl Event {
    /// Something that happened at a stage.
    pub fn new(at: Duration, stage: StageName, kind: EventKind) -> Self {
        Self { at, stage, kind }
    }
}
