//! The parts of a pipeline while it is wired: stages with their counters, sources, openers.

use std::{num::NonZeroUsize, pin::Pin, sync::Arc};

use towpath_core::{
    BoxError, DeadLetter, Ends, FailureContext, FailureHook, FailureRoute, Inlet, Message, Outlet,
    PolicyControl, StageControl, StageInfo, StageName, StageStats, Work,
};
use towpath_link::{Size, link};
use towpath_producer::{SettleStats, Source, SourceContext, SourceWorks};

use crate::port::{LinkInlet, LinkOutlet};

/// Makes the work of a worker, again after a restart.
pub(crate) type Factory = Box<dyn Fn(usize) -> Work + Send + Sync>;
pub(crate) type Opening<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

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
    pub(crate) failed: Arc<dyn Fn(StageName, BoxError) + Send + Sync>,
}

/// A stage that is wired and not yet running.
pub(crate) struct StageEntry {
    pub(crate) info: StageInfo,
    pub(crate) stats: Arc<StageStats>,
    pub(crate) control: Arc<StageControl>,
    pub(crate) policies: Option<Arc<dyn PolicyControl>>,
    pub(crate) factory: Factory,
}

/// A source that is wired and not yet open.
pub(crate) struct SourceEntry {
    pub(crate) info: StageInfo,
    pub(crate) stats: Arc<StageStats>,
    pub(crate) settled: Arc<SettleStats>,
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

    /// A link for `producers` workers upstream and `consumers` downstream.
    pub(crate) fn link<I: Send + 'static>(
        &self,
        producers: usize,
        consumers: usize,
    ) -> (Ends<dyn Outlet<I>>, Ends<dyn Inlet<I>>) {
        self.link_of(buffers(producers, consumers), self.max_demand, consumers)
    }

    /// A link of single items: bundles, each on its way to a worker that asked for it.
    pub(crate) fn bundle_link<I: Send + 'static>(
        &self,
        consumers: usize,
    ) -> (Ends<dyn Outlet<I>>, Ends<dyn Inlet<I>>) {
        self.link_of(bundles(consumers), NonZeroUsize::MIN, 1)
    }

    #[expect(clippy::unused_self, reason = "links belong to an assembly")]
    fn link_of<I: Send + 'static>(
        &self,
        buffers: usize,
        max_demand: NonZeroUsize,
        sharers: usize,
    ) -> (Ends<dyn Outlet<I>>, Ends<dyn Inlet<I>>) {
        let buffers = NonZeroUsize::new(buffers).unwrap_or(NonZeroUsize::MIN);
        let (sender, receiver) = link::<I>(Size {
            buffers,
            max_demand,
        });
        (
            Arc::new(move || Box::new(LinkOutlet::new(sender.clone()))),
            Arc::new(move || Box::new(LinkInlet::new(receiver.clone(), sharers > 1))),
        )
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
        factory: Factory,
    ) {
        self.stages.push(StageEntry {
            info,
            stats,
            control,
            policies: None,
            factory,
        });
    }

    /// Adds counters of something that has no workers of its own.
    pub(crate) fn counters(&mut self, info: StageInfo, stats: Arc<StageStats>) {
        let control = Arc::new(StageControl::new(0, 0));
        let factory = Box::new(|_| Box::pin(async {}) as Work);
        self.stage(info.sized(0, 0), stats, control, factory);
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
        let context = SourceContext {
            failures: self.context.clone(),
            gate: self.source_context.gate.view(),
            budget: self.source_context.budget,
            stats: stats.clone(),
            settled: settled.clone(),
            keeps_originals: self.letters.is_some(),
            failed: self.source_context.failed.clone(),
        };
        self.sources.push(SourceEntry {
            info,
            stats,
            settled,
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

/// The bundles of a link: one with each worker, and one on the way.
pub(crate) fn bundles(consumers: usize) -> usize {
    consumers.saturating_add(1)
}

/// The chunks of a link: one in each hand, and two on the way.
pub(crate) const fn buffers(producers: usize, consumers: usize) -> usize {
    producers.saturating_add(consumers).saturating_add(2)
}
