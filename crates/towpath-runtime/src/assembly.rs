//! The parts of a pipeline while it is wired: stages with their counters, sources, openers.

use std::{num::NonZeroUsize, pin::Pin, sync::Arc, time::Duration};

use towpath_core::{
    BoxError, DeadLetter, Ends, FailureContext, FailureHook, FailureRoute, Inlet, Lag, Message,
    Outlet, PolicyControl, QueueStatus, Reach, StageControl, StageInfo, StageName, StageStats,
    Timing, Work,
};
use towpath_link::{Size, Watch, link};
use towpath_producer::{SettleStats, Source, SourceContext, SourceWorks};

use crate::port::{LinkInlet, LinkOutlet};

/// Makes the work of a worker, again after a restart.
pub(crate) type Factory = Box<dyn Fn(usize) -> Work + Send + Sync>;
pub(crate) type Opening<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// What waits in a link, and what it asks for. Without the items in hands behind it.
pub(crate) type Queue = Arc<dyn Fn() -> QueueStatus + Send + Sync>;

/// A link that is wired, as the stage behind it sees it.
pub(crate) struct Wired<I> {
    pub(crate) inlet: Ends<dyn Inlet<I>>,
    pub(crate) queue: Queue,
}

/// The parts of a pipeline while it is wired.
pub(crate) struct Assembly {
    pub(crate) context: FailureContext,
    pub(crate) max_demand: NonZeroUsize,
    pub(crate) letters: Option<Ends<dyn Outlet<Message<DeadLetter>>>>,
    pub(crate) stages: Vec<StageEntry>,
    pub(crate) sources: Vec<SourceEntry>,
    pub(crate) openers: Vec<(StageName, Opening<()>)>,
    pub(crate) source_context: SourceSeed,
}

/// What every source of the pipeline gets.
pub(crate) struct SourceSeed {
    pub(crate) gate: towpath_producer::Gate,
    pub(crate) budget: u64,
    pub(crate) close_within: Duration,
    pub(crate) failed: Arc<dyn Fn(StageName, BoxError) + Send + Sync>,
}

/// A stage that is wired and not yet running.
pub(crate) struct StageEntry {
    pub(crate) info: StageInfo,
    pub(crate) stats: Arc<StageStats>,
    pub(crate) control: Arc<StageControl>,
    pub(crate) queue: Option<Queue>,
    pub(crate) policies: Option<Arc<dyn PolicyControl>>,
    pub(crate) factory: Factory,
}

/// A source that is wired and not yet open.
pub(crate) struct SourceEntry {
    pub(crate) info: StageInfo,
    pub(crate) stats: Arc<StageStats>,
    pub(crate) settled: Arc<SettleStats>,
    pub(crate) reach: Reach,
    pub(crate) lag: Option<Lag>,
    pub(crate) opening: Opening<SourceWorks>,
}

impl Assembly {
    /// Nothing wired yet.
    pub(crate) fn new(
        context: FailureContext,
        max_demand: NonZeroUsize,
        source_context: SourceSeed,
    ) -> Self {
        Self {
            context,
            max_demand,
            letters: None,
            stages: Vec::new(),
            sources: Vec::new(),
            openers: Vec::new(),
            source_context,
        }
    }

    /// The counters of a stage, timed as the pipeline is.
    pub(crate) fn stats(&self) -> Arc<StageStats> {
        Arc::new(StageStats::new(self.context.timing))
    }

    /// A link for `producers` workers upstream and `consumers` of the stage downstream.
    pub(crate) fn link<I: Send + 'static>(
        &self,
        producers: usize,
        consumers: usize,
        stats: &Arc<StageStats>,
    ) -> (Ends<dyn Outlet<I>>, Wired<I>) {
        let shared = consumers > 1;
        self.link_of(
            buffers(producers, consumers),
            self.max_demand,
            shared,
            stats,
        )
    }

    /// A link of single items: bundles, each on its way to a worker that asked for it.
    pub(crate) fn bundle_link<I: Send + 'static>(
        &self,
        consumers: usize,
        stats: &Arc<StageStats>,
    ) -> (Ends<dyn Outlet<I>>, Wired<I>) {
        self.link_of(bundles(consumers), NonZeroUsize::MIN, false, stats)
    }

    fn link_of<I: Send + 'static>(
        &self,
        buffers: usize,
        max_demand: NonZeroUsize,
        shared: bool,
        stats: &Arc<StageStats>,
    ) -> (Ends<dyn Outlet<I>>, Wired<I>) {
        let buffers = NonZeroUsize::new(buffers).unwrap_or(NonZeroUsize::MIN);
        let (sender, receiver) = link::<I>(Size {
            buffers,
            max_demand,
        });
        let queue = look_at(sender.watch());
        let (ledger, stats) = (self.context.ledger.clone(), stats.clone());
        let clock = (self.context.timing != Timing::Off).then(|| ledger.clone());
        let outlet = move || {
            let outlet = LinkOutlet::new(sender.clone()).stamped(clock.clone());
            Box::new(outlet) as Box<dyn Outlet<I>>
        };
        let inlet = move || {
            let inlet = LinkInlet::new(receiver.clone(), shared);
            Box::new(inlet.metered(stats.clone(), &ledger)) as Box<dyn Inlet<I>>
        };
        let inlet = Arc::new(inlet);
        (Arc::new(outlet), Wired { inlet, queue })
    }

    /// Makes the failure route of a stage, a new one for each worker.
    pub(crate) fn failures(
        &self,
        stage: &StageName,
        stats: &Arc<StageStats>,
        hook: Option<FailureHook>,
    ) -> Arc<dyn Fn() -> FailureRoute + Send + Sync> {
        let (stage, stats) = (stage.clone(), stats.clone());
        let (context, letters) = (self.context.clone(), self.letters.clone());
        Arc::new(move || {
            FailureRoute::new(stage.clone(), context.clone(), stats.clone())
                .to_letters(letters.as_ref().map(|end| end()))
                .hooked(hook.clone())
        })
    }

    /// Adds a stage without policies.
    pub(crate) fn stage(
        &mut self,
        info: StageInfo,
        stats: Arc<StageStats>,
        control: Arc<StageControl>,
        queue: Option<Queue>,
        factory: Factory,
    ) {
        self.stages.push(StageEntry {
            info,
            stats,
            control,
            queue,
            policies: None,
            factory,
        });
    }

    /// Adds counters of something that has no workers of its own.
    pub(crate) fn counters(&mut self, info: StageInfo, stats: Arc<StageStats>) {
        let control = Arc::new(StageControl::new(0, 0));
        let factory = Box::new(|_| Box::pin(async {}) as Work);
        self.stage(info.sized(0, 0), stats, control, None, factory);
    }

    /// Adds a source that fills `outlet`.
    pub(crate) fn source<P: towpath_core::Producer>(
        &mut self,
        source: Source<P>,
        outlet: Ends<dyn Outlet<Message<P::Payload>>>,
    ) {
        let info = source.info();
        let stats = Arc::<StageStats>::default();
        let settled = Arc::<SettleStats>::default();
        let reach = source.reach();
        let context = SourceContext {
            failures: self.context.clone(),
            gate: self.source_context.gate.view(),
            budget: self.source_context.budget,
            stats: stats.clone(),
            settled: settled.clone(),
            reach: reach.clone(),
            close_within: self.source_context.close_within,
            keeps_originals: self.letters.is_some(),
            failed: self.source_context.failed.clone(),
        };
        self.sources.push(SourceEntry {
            info,
            stats,
            settled,
            reach,
            lag: source.lag(),
            opening: Box::pin(source.start(context, outlet)),
        });
    }

    /// Adds something that must be ready before anything runs.
    pub(crate) fn opener(
        &mut self,
        stage: StageName,
        opening: impl Future<Output = Result<(), BoxError>> + Send + 'static,
    ) {
        self.openers.push((stage, Box::pin(opening)));
    }
}

fn look_at<I: Send + 'static>(link: Watch<I>) -> Queue {
    Arc::new(move || {
        let mut status = QueueStatus::default();
        status.depth = link.items() as u64;
        status.capacity = link.capacity() as u64;
        status.demand = link.demand() as u64;
        status
    })
}

/// The bundles of a link: one with each worker, and one on the way.
pub(crate) fn bundles(consumers: usize) -> usize {
    consumers.saturating_add(1)
}

/// The chunks of a link: one in each hand, and two on the way.
pub(crate) const fn buffers(producers: usize, consumers: usize) -> usize {
    producers.saturating_add(consumers).saturating_add(2)
}
