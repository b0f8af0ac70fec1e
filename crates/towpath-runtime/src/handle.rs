//! The handle of a running pipeline: look at it, change it, stop it.

mod policies;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use towpath_core::{
    EventKind, FailureContext, Inspect, Lag, Phase, PolicyControl, PolicyError, Reach, Redelivery,
    StageControl, StageInfo, StageName, StageStats, Status,
};
use towpath_producer::{Flow as SourceFlow, Gate, SettleStats};

use crate::{Explanation, Topology, assembly::Queue, look::Samples};

/// The handle of a pipeline. Clones are cheap and outlive the pipeline.
#[derive(Clone)]
pub struct PipelineHandle(pub(crate) Arc<Shared>);

/// What the handle, the supervisor and the report look at.
pub(crate) struct Shared {
    pub(crate) explanation: Explanation,
    pub(crate) context: FailureContext,
    pub(crate) gate: Gate,
    pub(crate) stages: Vec<Watched>,
    pub(crate) sources: Vec<WatchedSource>,
    pub(crate) kills: mpsc::Sender<Kill>,
    pub(crate) stop: watch::Sender<Stop>,
    pub(crate) stopped: watch::Sender<bool>,
    pub(crate) drain_deadline: Duration,
    /// What the weakest source does with what is given back.
    pub(crate) redelivery: Redelivery,
    pub(crate) samples: Samples,
}

/// A stage as the handle sees it.
pub(crate) struct Watched {
    pub(crate) info: StageInfo,
    pub(crate) stats: Arc<StageStats>,
    pub(crate) control: Arc<StageControl>,
    pub(crate) queue: Option<Queue>,
    pub(crate) policies: Option<Arc<dyn PolicyControl>>,
}

/// A source as the handle sees it.
pub(crate) struct WatchedSource {
    pub(crate) info: StageInfo,
    pub(crate) stats: Arc<StageStats>,
    pub(crate) settled: Arc<SettleStats>,
    pub(crate) reach: Reach,
    pub(crate) lag: Option<Lag>,
}

/// A worker that is to end as if it had died.
#[derive(Debug)]
pub(crate) struct Kill {
    pub(crate) stage: StageName,
    pub(crate) worker: usize,
}

/// Whether the pipeline was asked to stop, and by when.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stop {
    pub(crate) asked: bool,
    pub(crate) by: Option<Instant>,
}

impl Stop {
    /// Stops within a while; a later call can only shorten the time that is left.
    pub(crate) fn within(&mut self, within: Duration) {
        self.asked = true;
        let by = Instant::now().checked_add(within);
        self.by = match (self.by, by) {
            (Some(known), Some(by)) => Some(known.min(by)),
            (known, by) => known.or(by),
        };
    }
}

/// A change that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is no such stage.
    #[error("the pipeline {pipeline} has no stage {stage}")]
    UnknownStage {
        /// The pipeline.
        pipeline: StageName,
        /// The stage.
        stage: StageName,
    },
    /// The stage cannot be changed so.
    #[error("the concurrency of stage {stage} cannot be {concurrency}: {why}")]
    Concurrency {
        /// The stage.
        stage: StageName,
        /// What was asked for.
        concurrency: usize,
        /// Why it cannot be.
        why: &'static str,
    },
    /// The stage has no such policy.
    #[error("stage {stage} has no {policy}")]
    NoSuchPolicy {
        /// The stage.
        stage: StageName,
        /// What it has none of, in words: `rate limit`, `circuit breaker`.
        policy: &'static str,
    },
    /// A policy of the stage does not make the change.
    #[error("the policies of stage {stage} cannot be changed so")]
    Policy {
        /// The stage.
        stage: StageName,
        /// Why not.
        source: PolicyError,
    },
}

impl PipelineHandle {
    /// The name of the pipeline.
    pub fn name(&self) -> &StageName {
        &self.0.context.pipeline
    }

    /// How the pipeline is doing, also when it has ended.
    pub fn status(&self) -> Status {
        Inspect::status(&*self.0)
    }

    /// Where the pipeline is in its life.
    pub fn phase(&self) -> Phase {
        Inspect::phase(&*self.0)
    }

    /// The stages and their connections.
    pub fn topology(&self) -> &Topology {
        &self.0.explanation.topology
    }

    /// What is fused, where a hop is paid, and the bound of what is in flight.
    pub fn explain(&self) -> &Explanation {
        &self.0.explanation
    }

    /// Stops asking the sources; what was taken goes on.
    pub fn pause(&self) {
        if self.0.gate.set(SourceFlow::Paused) {
            self.0.event(EventKind::Paused);
        }
    }

    /// Asks the sources again.
    pub fn resume(&self) {
        if self.0.gate.set(SourceFlow::Running) {
            self.0.event(EventKind::Resumed);
        }
    }

    /// Takes no more and finishes what was taken, within the drain deadline of the pipeline.
    /// Returns at once; [`stopped`](Self::stopped) waits.
    pub fn drain(&self) {
        self.drain_within(self.0.drain_deadline);
    }

    /// As [`drain`](Self::drain), with a deadline of its own; what is left then is given
    /// back to the sources. A later call can only shorten the time that is left.
    pub fn drain_within(&self, deadline: Duration) {
        // Said first: what ends because of it must not look as if it had ended by itself.
        self.0.stop.send_modify(|stop| stop.within(deadline));
        if self.0.gate.set(SourceFlow::Stopping) {
            self.0.event(EventKind::Draining);
            self.0.drain_policies();
        }
    }

    /// Drains within `deadline` and waits for the end.
    ///
    /// # Cancel safety
    /// Dropping the future stops waiting; the drain goes on.
    pub async fn stop(&self, deadline: Duration) {
        self.drain_within(deadline);
        self.stopped().await;
    }

    /// Waits until the pipeline has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn stopped(&self) {
        let mut stopped = self.0.stopped.subscribe();
        // An error means that the pipeline is gone, and so has ended.
        drop(stopped.wait_for(|stopped| *stopped).await);
    }

    /// Changes how many messages a processor works on at once.
    ///
    /// Calls that run are finished; a lower limit holds as they end. A worker that is left
    /// without a share still finishes what it has in hand, one message after the other. The
    /// policies of the stage are told; what is parked in it stays.
    ///
    /// # Errors
    /// Fails for an unknown stage, one that is no processor, and for zero.
    pub fn set_concurrency(&self, stage: &str, concurrency: usize) -> Result<(), ControlError> {
        let watched = self.watched(stage)?;
        let why = match (watched.info.kind, concurrency) {
            (_, 0) => "it must be at least 1",
            ("processor", _) => "",
            _ => "the stage is no processor",
        };
        if !why.is_empty() {
            return Err(ControlError::Concurrency {
                stage: stage.into(),
                concurrency,
                why,
            });
        }
        if let Some(policies) = &watched.policies {
            policies.set_concurrency(concurrency);
        }
        watched.control.set_concurrency(concurrency);
        let kind = EventKind::ConcurrencyChanged { concurrency };
        self.0.context.tell(&stage.into(), kind);
        Ok(())
    }

    /// Ends a worker as if it had died: what it held is given back, and it is started
    /// again. For tests of what survives.
    ///
    /// # Errors
    /// Fails for an unknown stage.
    pub fn kill_worker(&self, stage: &str, worker: usize) -> Result<(), ControlError> {
        if self.0.sources.iter().all(|s| s.info.name.as_str() != stage) {
            self.watched(stage)?;
        }
        let stage = stage.into();
        // Full or gone: as many die already, or all of them.
        drop(self.0.kills.try_send(Kill { stage, worker }));
        Ok(())
    }

    fn watched(&self, stage: &str) -> Result<&Watched, ControlError> {
        let found = self.0.stages.iter().find(|s| s.info.name.as_str() == stage);
        found.ok_or_else(|| ControlError::UnknownStage {
            pipeline: self.name().clone(),
            stage: stage.into(),
        })
    }
}

impl Shared {
    fn drain_policies(&self) {
        for policies in self
            .stages
            .iter()
            .filter_map(|stage| stage.policies.as_ref())
        {
            policies.drain();
        }
    }

    /// The most messages that can be in flight, with the concurrency as it was set since.
    pub(crate) fn bound(&self) -> u64 {
        let peak = |name: &StageName| {
            let stage = self.stages.iter().find(|s| s.info.name == *name);
            stage.map_or(0, |s| s.control.peak())
        };
        self.explanation.bound_with(peak)
    }

    pub(crate) fn event(&self, kind: EventKind) {
        self.context.tell(&self.context.pipeline, kind);
    }
}

impl fmt::Debug for PipelineHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineHandle")
            .field("name", self.name())
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}
