//! How a flow ends: in a batcher and a sink, in a sink alone, acknowledged, or forked.

use std::sync::Arc;

use towpath_batcher::SinkStage;
use towpath_core::{Bundler, Ends, Inlet, Message, Outlet, Sink, StageInfo};
use towpath_processor::{ChunkInlet, Operator};

use super::{Batched, Flow, batched::add_sink};
use crate::{Pipeline, assembly::Wired, port::Acknowledge};

impl<O: Operator> Flow<O> {
    /// Collects messages into batches; a sink must follow.
    pub fn batch<B: Bundler<O::Out>>(self, batcher: B) -> Batched<O::Out, B> {
        Batched {
            cut: self.cut(),
            bundler: batcher,
        }
    }

    /// Ends the flow in a sink without a batcher: it gets what comes, a chunk at most.
    pub fn sink<S: Sink<O::Out>>(self, sink: SinkStage<S>) -> Pipeline {
        let info = sink.info_for::<O::Out>();
        let cut = self.cut();
        let (mut plan, mut promises) = (cut.plan.clone(), cut.promises.clone());
        let node = plan.add(info.clone());
        plan.edges.extend(cut.edges_to(node, info.workers));
        promises.sink(info.name.clone(), sink.promise());
        Pipeline::ending(plan, promises, move |assembly| {
            let stats = assembly.stats();
            let Wired { inlet, queue } = cut.wire(assembly, info.workers, &stats);
            let (name, max) = (info.name, assembly.max_demand.get());
            let bundles: Ends<dyn Inlet<_>> =
                Arc::new(move || Box::new(ChunkInlet::new(name.clone(), max, inlet())));
            let wired = Wired {
                inlet: bundles,
                queue,
            };
            add_sink(assembly, sink, wired, stats);
        })
    }

    /// Ends the flow here: a message that gets this far is done.
    pub fn acknowledge(self) -> Pipeline {
        let up = self.fused();
        let end = StageInfo::new("acknowledged".into(), "end");
        let mut plan = up.plan;
        plan.end(&up.last, up.label.as_ref(), end);
        let connect = up.connect;
        Pipeline::ending(plan, up.promises, move |assembly| {
            let room = assembly.max_demand.get();
            let outlet: Ends<dyn Outlet<Message<O::Out>>> =
                Arc::new(move || Box::new(Acknowledge::new(room)));
            connect(assembly, outlet);
        })
    }
}
