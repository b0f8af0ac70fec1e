//! What the runtime needs of a stage to wire, run and restart its workers.

use std::{fmt, pin::Pin, sync::Arc};

use crate::{
    Bundle, FailureHook, FailureRoute, Inlet, Message, Outlet, PolicyControl, StageControl,
    StageName, StageStats,
};

/// The work of one worker: a future that the runtime owns and polls.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stage between two links: takes messages of `T`, gives messages of `Out`.
///
/// It makes the future of each of its workers, again after a restart.
pub trait Stage<T>: Send + Sync + 'static {
    /// What the messages hold afterwards.
    type Out: Send + 'static;

    /// Name, shape and limits, for the topology.
    fn info(&self) -> StageInfo;

    /// Sees each failure of the stage before it is settled.
    fn hook(&self) -> Option<FailureHook> {
        None
    }

    /// The policies around its work, where they can be changed or looked at while it runs.
    fn policies(&self) -> Option<Arc<dyn PolicyControl>> {
        None
    }

    /// The work of one worker between its ports.
    fn work(&self, worker: usize, ports: Ports<T, Self::Out>) -> Work;
}

/// A stage that collects messages into bundles for the sink behind it. It has one worker.
pub trait Bundler<T>: Send + Sync + 'static {
    /// Name, shape and limits, for the topology.
    fn info(&self) -> StageInfo;

    /// The most messages that one bundle holds.
    fn bundle_size(&self) -> usize;

    /// The work of the worker.
    fn work(
        &self,
        inlet: Box<dyn Inlet<Message<T>>>,
        outlet: Box<dyn Outlet<Bundle<T>>>,
        failures: FailureRoute,
        stats: Arc<StageStats>,
    ) -> Work;
}

/// What one worker is connected to.
pub struct Ports<T, U> {
    /// Where its messages come from.
    pub inlet: Box<dyn Inlet<Message<T>>>,
    /// Where its results go.
    pub outlet: Box<dyn Outlet<Message<U>>>,
    /// Where its failures go.
    pub failures: FailureRoute,
    /// What it counts.
    pub stats: Arc<StageStats>,
    /// What can be changed while it runs.
    pub control: Arc<StageControl>,
}

/// Name, shape and limits of a stage.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct StageInfo {
    /// The name of the stage.
    pub name: StageName,
    /// The kind: `processor`, `batcher`, `sink`, `source`.
    pub kind: &'static str,
    /// How many tasks it runs on.
    pub workers: usize,
    /// How many messages it works on at once, over all workers.
    pub concurrency: usize,
    /// How many more it may have in hand that wait for a policy: between two attempts, for
    /// a rate limit. They hold a slot each and no place among those at work.
    pub parking: usize,
    /// In which order results leave, and what else is worth a word.
    pub notes: Vec<String>,
    /// Messages that may wait inside it beside those at work and parked: lanes, open batches.
    pub holds: usize,
    /// Options that make no sense; a pipeline with such a stage does not start.
    #[serde(skip)]
    pub problems: Vec<String>,
}

impl StageInfo {
    /// A stage with one worker.
    pub fn new(name: StageName, kind: &'static str) -> Self {
        Self {
            name,
            kind,
            workers: 1,
            concurrency: 1,
            parking: 0,
            notes: Vec::new(),
            holds: 0,
            problems: Vec::new(),
        }
    }

    /// With that many workers and messages at once.
    #[must_use]
    pub fn sized(mut self, workers: usize, concurrency: usize) -> Self {
        self.workers = workers;
        self.concurrency = concurrency;
        self
    }

    /// With room for messages that wait for a policy.
    #[must_use]
    pub fn parking(mut self, parking: usize) -> Self {
        self.parking = parking;
        self
    }

    /// As another kind of stage.
    #[must_use]
    pub fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// With a word about it.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With an option that makes no sense: names it and says what it must be.
    #[must_use]
    pub fn problem(mut self, problem: impl Into<String>) -> Self {
        self.problems.push(problem.into());
        self
    }

    /// With the messages that may wait inside it.
    #[must_use]
    pub fn holding(mut self, holds: usize) -> Self {
        self.holds = holds;
        self
    }
}

impl<T, U> fmt::Debug for Ports<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports")
            .field("failures", &self.failures)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
