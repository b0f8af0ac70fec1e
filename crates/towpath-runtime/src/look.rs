//! Looks at a pipeline: all its figures at one moment, read from what it counts anyway.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use towpath_core::{
    BatchStatus, Inspect, Lag, Load, Phase, QueueStatus, SourceStatus, StageName, StageStatus,
    Status, bottleneck,
};
use towpath_producer::Flow as SourceFlow;

use crate::{
    handle::{Shared, Watched, WatchedSource},
    plan::Plan,
};

/// The bottleneck is looked for over at least this much of the last time.
const WINDOW: Duration = Duration::from_secs(1);

/// How busy the stages were at the last times somebody asked: the time between then and now
/// is the window in which the bottleneck is looked for. And when the pipeline ended.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    kept: Mutex<[Sample; 2]>,
    ended: OnceLock<Duration>,
}

/// The busy time of each stage up to a moment; empty at the beginning.
#[derive(Clone, Debug, Default)]
struct Sample {
    at: Duration,
    busy: Vec<Option<Duration>>,
}

// === impl Samples ===

impl Samples {
    /// The pipeline has ended: its figures stand still from `now` on, or from when it was
    /// told first.
    pub(crate) fn end(&self, now: Duration) -> Duration {
        *self.ended.get_or_init(|| now)
    }

    /// Keeps `now`; gives the newest sample that is old enough, or else the oldest there is.
    fn exchange(&self, now: Sample) -> Sample {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let [older, newer] = &mut *kept;
        if now.at.saturating_sub(newer.at) >= WINDOW {
            *older = std::mem::replace(newer, now);
        }
        older.clone()
    }
}

impl Sample {
    fn busy(&self, stage: usize) -> Duration {
        self.busy.get(stage).copied().flatten().unwrap_or_default()
    }
}

// === impl Shared ===

impl Inspect for Shared {
    fn name(&self) -> &StageName {
        &self.context.pipeline
    }

    fn phase(&self) -> Phase {
        if *self.stopped.borrow() {
            return Phase::Stopped;
        }
        match self.gate.get() {
            SourceFlow::Running => Phase::Running,
            SourceFlow::Paused => Phase::Paused,
            SourceFlow::Stopping => Phase::Draining,
        }
    }

    fn status(&self) -> Status {
        let ledger = &self.context.ledger;
        let elapsed = self.samples.ended.get().copied();
        let elapsed = elapsed.unwrap_or_else(|| ledger.now());
        let stages: Vec<_> = self.stages.iter().map(|s| s.status(elapsed)).collect();
        let bottleneck = self.bottleneck(&stages, elapsed);
        let mut status = Status::new(self.name().clone(), self.phase());
        status.elapsed = elapsed;
        status.counts = ledger.counts();
        status.bound = self.bound();
        status.dropped = ledger.reasons();
        status.latency = ledger.latency().distribution();
        status.sources = self.sources.iter().map(WatchedSource::status).collect();
        status.stages = stages;
        status.bottleneck = bottleneck;
        status
    }

    fn diagram(&self) -> String {
        self.explanation.topology.mermaid()
    }
}

impl Shared {
    fn bottleneck(&self, stages: &[StageStatus], now: Duration) -> Option<StageName> {
        let busy = stages.iter().map(|s| s.utilisation.map(|_| s.busy));
        let sample = Sample {
            at: now,
            busy: busy.collect(),
        };
        let before = self.samples.exchange(sample);
        let window = now.saturating_sub(before.at);
        let loads = self.stages.iter().zip(stages).enumerate();
        let loads: Vec<_> = loads
            .map(|(place, (watched, stage))| Load {
                name: stage.name.clone(),
                // What waits for a limit or a breaker holds no slot, and holds others back.
                utilisation: stage
                    .utilisation
                    .filter(|_| watched.policies.is_none())
                    .map(|_| part(stage.busy.saturating_sub(before.busy(place)), window, stage)),
                queue: stage.queue,
                behind: self.behind(&watched.info.name),
            })
            .collect();
        bottleneck(&loads).cloned()
    }

    /// The stages with a queue right behind one, by their places: forks are looked through.
    fn behind(&self, name: &StageName) -> Vec<usize> {
        let plan = &self.explanation.topology.plan;
        let node = plan.stages.iter().position(|stage| stage.name == *name);
        let mut found = Vec::new();
        for next in node.into_iter().flat_map(|node| next(plan, node)) {
            self.collect_behind(plan, next, &mut found);
        }
        found
    }

    /// Plans have no circles: every edge leads to a node that was added later.
    fn collect_behind(&self, plan: &Plan, node: usize, found: &mut Vec<usize>) {
        let name = &plan.stages[node].name;
        let is_it = |stage: &Watched| stage.info.name == *name && stage.queue.is_some();
        match self.stages.iter().position(is_it) {
            Some(place) => found.push(place),
            None => next(plan, node).for_each(|next| self.collect_behind(plan, next, found)),
        }
    }
}

fn next(plan: &Plan, node: usize) -> impl Iterator<Item = usize> + '_ {
    let edges = plan.edges.iter().filter(move |edge| edge.from == node);
    edges.map(|edge| edge.to)
}

// === impl Watched, WatchedSource ===

impl Watched {
    fn status(&self, elapsed: Duration) -> StageStatus {
        let counted = &self.stats;
        let mut status = StageStatus::new(self.info.name.clone(), self.info.kind);
        status.workers = self.info.workers;
        status.concurrency = self.control.concurrency();
        status.counts = counted.counts();
        status.in_flight = status.counts.in_flight();
        status.queue = self.queue();
        status.duration = counted.duration();
        status.queue_time = counted.queue_time();
        let busy = counted.busy(elapsed);
        status.busy = busy.unwrap_or_default();
        status.utilisation = busy.map(|busy| part(busy, elapsed, &status));
        let none_yet = || (self.info.kind == "batcher").then(BatchStatus::default);
        status.batches = counted.batches().or_else(none_yet);
        status.reach = counted.reach();
        status.policies = self.policies();
        status
    }

    fn queue(&self) -> Option<QueueStatus> {
        let mut queue = self.queue.as_ref()?();
        queue.depth += self.stats.in_hand();
        Some(queue)
    }
}

impl WatchedSource {
    fn status(&self) -> SourceStatus {
        let counts = self.stats.counts();
        let mut status = SourceStatus::new(self.info.name.clone());
        status.received = counts.sent;
        status.redelivered = self.settled.redelivered();
        status.settled = self.settled.counts();
        status.failures = self.reach.failures();
        status.error = self.reach.error();
        status.restarts = counts.restarts;
        status.lag = self.lag.as_ref().and_then(Lag::get);
        status
    }
}

/// The part of the slots of a stage that were busy for `busy` altogether within `window`.
fn part(busy: Duration, window: Duration, stage: &StageStatus) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "slots are far fewer than 2^52")]
    let all = window.as_secs_f64() * stage.concurrency.max(1) as f64;
    if all > 0.0 {
        (busy.as_secs_f64() / all).min(1.0)
    } else {
        0.0
    }
}
