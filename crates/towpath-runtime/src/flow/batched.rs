//! A flow whose messages are collected into batches: a sink must follow.

use std::{fmt, sync::Arc};

use towpath_batcher::SinkStage;
use towpath_core::{Bundle, Bundler, Ends, Sink, StageControl, StageInfo, StageStats};

use super::Cut;
use crate::{
    Pipeline,
    assembly::{Assembly, Wired, bundles},
    plan::{Edge, Node},
};

/// A flow whose messages are collected into batches.
#[must_use = "a flow does nothing until it ends in a sink and runs"]
pub struct Batched<T, B> {
    pub(crate) cut: Cut<T>,
    pub(crate) bundler: B,
}

impl<T, B> Batched<T, B>
where
    T: Send + 'static,
    B: Bundler<T>,
{
    /// Ends the flow: batches go to the workers of `sink`.
    pub fn sink<S: Sink<T>>(self, sink: SinkStage<S>) -> Pipeline {
        let Self { cut, bundler } = self;
        let (mut plan, mut promises) = (cut.plan.clone(), cut.promises.clone());
        let batcher = plan.add(bundler.info());
        plan.edges.extend(cut.edges_to(batcher, 1));
        let info = sink.info_for::<T>();
        let (name, workers) = (info.name.clone(), info.workers);
        let node = plan.add(info);
        plan.edges
            .push(batch_edge(batcher, node, workers, bundler.bundle_size()));
        promises.sink(name, sink.promise());
        Pipeline::ending(plan, promises, move |assembly| {
            let stats = assembly.stats();
            let (outlet, wired) = assembly.bundle_link::<Bundle<T>>(workers, &stats);
            add_sink(assembly, sink, wired, stats);
            add_bundler(assembly, cut, bundler, outlet);
        })
    }
}

fn batch_edge(from: Node, to: Node, workers: usize, weight: usize) -> Edge {
    Edge {
        buffers: bundles(workers),
        weight,
        ..Edge::direct(from, to, None)
    }
}

fn add_bundler<T: Send + 'static, B: Bundler<T>>(
    assembly: &mut Assembly,
    cut: Cut<T>,
    bundler: B,
    outlet: Ends<dyn towpath_core::Outlet<Bundle<T>>>,
) {
    let info = bundler.info();
    let stats = assembly.stats();
    let failures = assembly.failures(&info.name, &stats, None);
    let Wired { inlet, queue } = cut.wire(assembly, 1, &stats);
    let counters = stats.clone();
    let factory = Box::new(move |_| bundler.work(inlet(), outlet(), failures(), counters.clone()));
    assembly.stage(info, stats, fixed(1), Some(queue), factory);
}

/// Adds a sink that takes bundles.
pub(crate) fn add_sink<T: Send + 'static, S: Sink<T>>(
    assembly: &mut Assembly,
    sink: SinkStage<S>,
    wired: Wired<Bundle<T>>,
    stats: Arc<StageStats>,
) {
    let Wired { inlet, queue } = wired;
    let info: StageInfo = sink.info();
    let failures = assembly.failures(&info.name, &stats, sink.hook());
    let sink = Arc::new(sink);
    let opening = sink.clone();
    assembly.opener(info.name.clone(), async move { opening.open::<T>().await });
    let (counters, workers) = (stats.clone(), info.workers);
    let factory = Box::new(move |worker| sink.work(worker, inlet(), failures(), counters.clone()));
    assembly.stage(info, stats, fixed(workers), Some(queue), factory);
}

fn fixed(workers: usize) -> Arc<StageControl> {
    Arc::new(StageControl::new(workers, workers))
}

impl<T, B> fmt::Debug for Batched<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batched").finish_non_exhaustive()
    }
}
