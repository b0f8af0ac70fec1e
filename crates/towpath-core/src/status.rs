//! How a pipeline is doing at one moment: all its figures, as data.

use std::{collections::BTreeMap, time::Duration};

use crate::{Counts, Distribution, PolicyStatus, Reason, StageCounts, StageName, Trigger};

/// Where a pipeline is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Sources are asked for more.
    Running,
    /// Sources are not asked; what was taken goes on.
    Paused,
    /// What was taken is finished, and no more is taken.
    Draining,
    /// Everything has ended.
    Stopped,
}

/// A pipeline at one moment.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The pipeline.
    pub name: StageName,
    /// Where it is in its life.
    pub phase: Phase,
    /// How long it has run.
    #[serde(rename = "elapsed_ms", serialize_with = "crate::words::as_millis")]
    pub elapsed: Duration,
    /// Its accounts, with the high-water mark of what was in flight.
    pub counts: Counts,
    /// The most messages that can be in flight.
    pub bound: u64,
    /// Dropped messages by reason; a bounded number of reasons, the rest as `other`.
    pub dropped: BTreeMap<Reason, u64>,
    /// From source to settled, for messages that are done.
    pub latency: Distribution,
    /// Each source.
    pub sources: Vec<SourceStatus>,
    /// Each stage, in the order of the topology.
    pub stages: Vec<StageStatus>,
    /// The stage that holds the others back, where one does.
    pub bottleneck: Option<StageName>,
}

/// A source at one moment.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct SourceStatus {
    /// The source.
    pub name: StageName,
    /// Messages received.
    pub received: u64,
    /// Of those, messages that the source has delivered before.
    pub redelivered: u64,
    /// How the source took the outcomes.
    pub settled: SettleCounts,
    /// Calls that failed because the source was out of reach.
    pub failures: u64,
    /// What the source said when it failed last; `None` since it has answered again.
    pub error: Option<String>,
    /// Times its task was started again.
    pub restarts: u64,
    /// Messages that wait in it; `None` where it does not say.
    pub lag: Option<u64>,
}

/// Whether a sink can be reached, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ReachStatus {
    /// Calls that failed because it was out of reach.
    pub failures: u64,
    /// What it said when it failed last; `None` since it has answered again.
    pub error: Option<String>,
}

/// How a source took the outcomes, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SettleCounts {
    /// Confirmed by the source.
    pub confirmed: u64,
    /// Sent to a source that does not confirm.
    pub sent: u64,
    /// Too late: the source had given the message to somebody else.
    pub stale: u64,
    /// Never told: the source could not be reached.
    pub failed: u64,
}

/// A stage at one moment.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct StageStatus {
    /// The stage.
    pub name: StageName,
    /// `processor`, `batcher`, `sink`, ..
    pub kind: &'static str,
    /// How many tasks it runs on.
    pub workers: usize,
    /// How many messages (of a sink: batches) it works on at once.
    pub concurrency: usize,
    /// How many it works on now, those that wait for a policy included.
    pub in_flight: u64,
    /// Its counters.
    #[serde(flatten)]
    pub counts: StageCounts,
    /// What waits in front of it; `None` for what has no link of its own.
    pub queue: Option<QueueStatus>,
    /// How long calls took (of a sink: writes), by [`Timing`](crate::Timing).
    pub duration: Distribution,
    /// How long messages waited before it, by [`Timing`](crate::Timing).
    pub queue_time: Distribution,
    /// The time that its slots were busy, summed over all of them.
    #[serde(rename = "busy_ms", serialize_with = "crate::words::as_millis")]
    pub busy: Duration,
    /// The part of its slots that were busy since the pipeline began, 0 to 1; `None` where
    /// nothing is timed.
    pub utilisation: Option<f64>,
    /// Its batches; `None` for what makes none.
    pub batches: Option<BatchStatus>,
    /// Whether it can be reached; `None` for what always can: all but sinks of servers.
    pub reach: Option<ReachStatus>,
    /// Its policies, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyStatus>,
}

/// A link at one moment, as the stage behind it sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct QueueStatus {
    /// Items that wait in it (before a sink behind a batcher: batches).
    pub depth: u64,
    /// The most that it can hold.
    pub capacity: u64,
    /// Items that it asks for and that nobody has sent yet.
    pub demand: u64,
}

/// The batches of a batcher up to one moment.
#[derive(Clone, Debug, Default, serde::Serialize)]
#[non_exhaustive]
pub struct BatchStatus {
    /// Batches closed, by what closed them.
    pub closed: BTreeMap<Trigger, u64>,
    /// Messages per batch.
    pub size: Distribution,
    /// Weight per batch: bytes, where it is bytes that are weighed. Nothing where nothing is
    /// weighed.
    pub weight: Distribution,
    /// How old batches were when they closed.
    pub age: Distribution,
}

impl Status {
    /// A pipeline that has counted nothing yet.
    pub fn new(name: StageName, phase: Phase) -> Self {
        Self {
            name,
            phase,
            elapsed: Duration::ZERO,
            counts: Counts::default(),
            bound: 0,
            dropped: BTreeMap::new(),
            latency: Distribution::default(),
            sources: Vec::new(),
            stages: Vec::new(),
            bottleneck: None,
        }
    }
}

impl SourceStatus {
    /// A source that has counted nothing yet.
    pub fn new(name: StageName) -> Self {
        Self {
            name,
            received: 0,
            redelivered: 0,
            settled: SettleCounts::default(),
            failures: 0,
            error: None,
            restarts: 0,
            lag: None,
        }
    }
}

impl SettleCounts {
    /// Outcomes that the source was told, or could not be told.
    pub fn all(&self) -> u64 {
        self.confirmed + self.sent + self.stale + self.failed
    }
}

impl StageStatus {
    /// A stage with one worker that has counted nothing yet.
    pub fn new(name: StageName, kind: &'static str) -> Self {
        Self {
            name,
            kind,
            workers: 1,
            concurrency: 1,
            in_flight: 0,
            counts: StageCounts::default(),
            queue: None,
            duration: Distribution::default(),
            queue_time: Distribution::default(),
            busy: Duration::ZERO,
            utilisation: None,
            batches: None,
            reach: None,
            policies: Vec::new(),
        }
    }
}
