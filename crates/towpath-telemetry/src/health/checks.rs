//! What ails a pipeline.

use std::{fmt, time::Duration};

use serde::ser::{Serialize, SerializeMap, Serializer};
use towpath_core::{BreakerState, Phase, PolicyStatus, StageName, StageStatus, Status};

/// What counts as ill health. The defaults suit a service whose pipelines run for ever.
///
/// ```
/// use towpath_telemetry::health::Checks;
///
/// let checks = Checks::new().queue_critical(0.99).allow_ended(true);
/// assert!(!checks.readiness(&[]).is_ready()); // nothing runs yet
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Checks {
    queue_warn: Option<f64>,
    queue_critical: Option<f64>,
    stalled_after: Option<Duration>,
    allow_empty: bool,
    allow_ended: bool,
}

/// Whether pipelines are ready for work, and what was found.
///
/// As data: `{"status": "ready", "reasons": [..]}`, with `degraded` or `not_ready` instead.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

/// Something that ails a pipeline. Shown, it is a sentence.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The pipeline; `None` where it is about all of them.
    pub pipeline: Option<StageName>,
    /// The source or stage; `None` where it is about the whole pipeline.
    pub stage: Option<StageName>,
    /// What it is.
    pub ailment: Ailment,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Still ready, but worth a look.
    Warn,
    /// Not ready.
    Critical,
}

/// What can ail a pipeline.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Ailment {
    /// No pipeline has begun.
    Nothing,
    /// Its sources are not asked, because somebody said so.
    Paused,
    /// It takes no more.
    Draining,
    /// It has ended.
    Ended,
    /// The source cannot be reached.
    SourceUnreachable {
        /// What the source said last.
        error: String,
    },
    /// The sink cannot be reached: what it is given waits.
    SinkUnreachable {
        /// What the sink said last.
        error: String,
    },
    /// The circuit breaker lets nothing through.
    BreakerOpen,
    /// The circuit breaker lets a few calls through, to find out.
    BreakerHalfOpen,
    /// The queue in front of it is over its threshold.
    QueueFull {
        /// Items that wait.
        depth: u64,
        /// The most that can wait.
        capacity: u64,
        /// The part of the capacity, 0 to 1, at which it counts.
        threshold: f64,
    },
    /// Messages are in flight, and none has come to its end for this long.
    Stalled {
        /// How long.
        since: Duration,
    },
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            queue_warn: Some(0.9),
            queue_critical: None,
            stalled_after: None,
            allow_empty: false,
            allow_ended: false,
        }
    }
}

impl Checks {
    /// Warns of queues that are nine tenths full; a pipeline that has ended, and none at all,
    /// are not ready; nothing is ever stalled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Warns of a queue that holds at least this part of its capacity: 0.9 by default. It
    /// stays ready: back-pressure is no illness. A part that is no number never counts.
    pub fn queue_warn(mut self, part: f64) -> Self {
        self.queue_warn = Some(part);
        self
    }

    /// Not ready while a queue holds at least this part of its capacity. Off by default: a
    /// queue that is full is what holds back a source, and nothing that a restart would mend.
    pub fn queue_critical(mut self, part: f64) -> Self {
        self.queue_critical = Some(part);
        self
    }

    /// Not alive when messages are in flight and none comes to its end for so long; see
    /// [`Stalls`](super::Stalls). Off by default: it should be longer than the longest time
    /// that a message may take, all retries and waits for a policy included.
    pub fn stalled_after(mut self, after: Duration) -> Self {
        self.stalled_after = Some(after);
        self
    }

    /// Whether it is ready before any pipeline has begun; no by default.
    pub fn allow_empty(mut self, allowed: bool) -> Self {
        self.allow_empty = allowed;
        self
    }

    /// Whether it is ready although a pipeline has ended: for those that have an end, such
    /// as an import. No by default.
    pub fn allow_ended(mut self, allowed: bool) -> Self {
        self.allow_ended = allowed;
        self
    }

    pub(super) fn stall_time(&self) -> Option<Duration> {
        self.stalled_after
    }

    /// Whether pipelines are ready for work.
    pub fn readiness(&self, statuses: &[Status]) -> Health {
        let mut findings: Vec<_> = statuses.iter().flat_map(|s| self.examine(s)).collect();
        if statuses.is_empty() && !self.allow_empty {
            findings.push(Finding {
                level: Level::Critical,
                pipeline: None,
                stage: None,
                ailment: Ailment::Nothing,
            });
        }
        Health::of(findings)
    }

    /// What ails one pipeline.
    pub fn examine(&self, status: &Status) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |stage: Option<&StageName>, (level, ailment)| {
            findings.push(Finding {
                level,
                pipeline: Some(status.name.clone()),
                stage: stage.cloned(),
                ailment,
            });
        };
        if let Some(found) = self.phase(status.phase) {
            add(None, found);
        }
        if status.phase == Phase::Stopped {
            return findings;
        }
        for source in &status.sources {
            if let Some(error) = source.error.clone() {
                let found = Ailment::SourceUnreachable { error };
                add(Some(&source.name), (Level::Critical, found));
            }
        }
        for stage in &status.stages {
            let lost = stage.reach.as_ref().and_then(|reach| reach.error.clone());
            if let Some(error) = lost {
                let found = Ailment::SinkUnreachable { error };
                add(Some(&stage.name), (Level::Critical, found));
            }
            let found = stage.policies.iter().filter_map(breaker);
            let found = found.chain(self.queue(stage));
            found.for_each(|found| add(Some(&stage.name), found));
        }
        findings
    }

    fn phase(&self, phase: Phase) -> Option<(Level, Ailment)> {
        match phase {
            Phase::Paused => Some((Level::Warn, Ailment::Paused)),
            Phase::Draining => Some((Level::Critical, Ailment::Draining)),
            Phase::Stopped if !self.allow_ended => Some((Level::Critical, Ailment::Ended)),
            _ => None,
        }
    }

    fn queue(&self, stage: &StageStatus) -> Option<(Level, Ailment)> {
        let queue = stage.queue.filter(|queue| queue.capacity > 0)?;
        let over = |threshold: &f64| part(queue.depth, queue.capacity) >= *threshold;
        let critical = self
            .queue_critical
            .filter(over)
            .map(|t| (Level::Critical, t));
        let warn = self.queue_warn.filter(over).map(|t| (Level::Warn, t));
        let (level, threshold) = critical.or(warn)?;
        let (depth, capacity) = (queue.depth, queue.capacity);
        let found = Ailment::QueueFull {
            depth,
            capacity,
            threshold,
        };
        Some((level, found))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a part of a queue's capacity")]
fn part(depth: u64, capacity: u64) -> f64 {
    depth as f64 / capacity as f64
}

fn breaker(policy: &PolicyStatus) -> Option<(Level, Ailment)> {
    let PolicyStatus::CircuitBreaker { state, .. } = policy else {
        return None;
    };
    match state {
        BreakerState::Closed => None,
        BreakerState::Open => Some((Level::Critical, Ailment::BreakerOpen)),
        BreakerState::HalfOpen => Some((Level::Warn, Ailment::BreakerHalfOpen)),
    }
}

// === impl Health ===

impl Health {
    pub(super) fn of(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        Self { findings }
    }

    /// Whether nothing critical was found.
    pub fn is_ready(&self) -> bool {
        self.findings.iter().all(|f| f.level < Level::Critical)
    }

    /// In one word: `ready`, `degraded` when something is worth a look, or `not_ready`.
    pub fn word(&self) -> &'static str {
        match self.findings.iter().map(|finding| finding.level).max() {
            None => "ready",
            Some(Level::Warn) => "degraded",
            Some(Level::Critical) => "not_ready",
        }
    }
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut health = serializer.serialize_map(Some(2))?;
        health.serialize_entry("status", self.word())?;
        health.serialize_entry("reasons", &self.findings)?;
        health.end()
    }
}

// === impl Finding ===

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.pipeline, &self.stage) {
            (Some(pipeline), Some(stage)) => write!(f, "{stage} of {pipeline}: ")?,
            (Some(pipeline), None) => write!(f, "{pipeline}: ")?,
            _ => {}
        }
        self.ailment.fmt(f)
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut finding = serializer.serialize_map(None)?;
        finding.serialize_entry("level", &self.level)?;
        finding.serialize_entry("kind", self.ailment.word())?;
        finding.serialize_entry("pipeline", &self.pipeline)?;
        finding.serialize_entry("stage", &self.stage)?;
        finding.serialize_entry("text", &self.to_string())?;
        finding.end()
    }
}

// === impl Ailment ===

impl Ailment {
    /// In one word that stays the same: `source_unreachable`, `breaker_open`, `queue_full`..
    pub fn word(&self) -> &'static str {
        match self {
            Self::Nothing => "no_pipeline",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Ended => "ended",
            Self::SourceUnreachable { .. } => "source_unreachable",
            Self::SinkUnreachable { .. } => "sink_unreachable",
            Self::BreakerOpen => "breaker_open",
            Self::BreakerHalfOpen => "breaker_half_open",
            Self::QueueFull { .. } => "queue_full",
            Self::Stalled { .. } => "stalled",
        }
    }
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no pipeline has begun"),
            Self::Paused => f.write_str("paused"),
            Self::Draining => f.write_str("draining, takes no more"),
            Self::Ended => f.write_str("has ended"),
            Self::SourceUnreachable { error } | Self::SinkUnreachable { error } => {
                write!(f, "out of reach: {error}")
            }
            Self::BreakerOpen => f.write_str("circuit breaker is open"),
            Self::BreakerHalfOpen => f.write_str("circuit breaker is half open"),
            Self::QueueFull {
                depth, capacity, ..
            } => write!(f, "{depth} of {capacity} places in its queue are taken"),
            Self::Stalled { since } => {
                write!(
                    f,
                    "no message has come to its end for {} s",
                    since.as_secs()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
