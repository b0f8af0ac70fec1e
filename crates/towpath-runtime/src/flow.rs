//! A pipeline while it is built: everything up to here, and what its messages hold.

mod batched;
mod ends;
mod operators;

use std::{fmt, sync::Arc};

pub use batched::Batched;
use towpath_core::{
    Ends, Inlet, Message, Outlet, Ports, Producer, Stage, StageControl, StageStats,
};
use towpath_processor::{Operator, operator::Pass};
use towpath_producer::Source;

use crate::{
    assembly::{Assembly, StageEntry, Wired, buffers},
    plan::{Edge, Node, Plan},
    promise::Promises,
};

/// Wires everything upstream to an outlet.
pub(crate) type Connect<X> = Box<dyn FnOnce(&mut Assembly, Ends<dyn Outlet<Message<X>>>) + Send>;

/// Wires everything upstream to a link; makes inlets for so many workers.
type CutConnect<T> =
    Box<dyn FnOnce(&mut Assembly, usize, &Arc<StageStats>) -> Wired<Message<T>> + Send>;

/// A pipeline while it is built.
///
/// `O` is the chain of operators since the last stage; its `Out` is what the messages
/// hold here. The chain is fused into the workers beside it.
#[must_use = "a flow does nothing until it ends in a sink and runs"]
pub struct Flow<O: Operator> {
    pub(crate) chain: O,
    pub(crate) upstream: Upstream<O::In>,
}

/// Everything before the chain.
pub(crate) struct Upstream<X> {
    pub(crate) plan: Plan,
    pub(crate) promises: Promises,
    /// The stages whose workers fill the outlet.
    pub(crate) last: Vec<Node>,
    pub(crate) label: Option<String>,
    pub(crate) workers: usize,
    /// Whether operators should run downstream: a source has one task, a stage behind it many.
    pub(crate) is_source: bool,
    pub(crate) connect: Connect<X>,
}

/// A flow cut at the inlet of the next stage.
pub(crate) struct Cut<T> {
    pub(crate) plan: Plan,
    pub(crate) promises: Promises,
    edges: Vec<Edge>,
    /// Whether the chain runs in the workers behind the cut, and not in those before it.
    in_front: bool,
    workers: usize,
    connect: CutConnect<T>,
}

impl<P: Producer> From<Source<P>> for Flow<Pass<P::Payload>> {
    fn from(source: Source<P>) -> Self {
        let mut plan = Plan::default();
        let mut promises = Promises::default();
        promises.source(source.info().name, source.redelivery());
        let node = plan.add(source.info());
        plan.carries::<P::Payload>();
        Self {
            chain: Pass::default(),
            upstream: Upstream {
                plan,
                promises,
                last: vec![node],
                label: None,
                workers: 1,
                is_source: true,
                connect: Box::new(move |assembly, outlet| assembly.source(source, outlet)),
            },
        }
    }
}

impl<O: Operator> Flow<O> {
    /// Adds a stage: a processor, or a stage of your own.
    pub fn process<S: Stage<O::Out>>(self, stage: S) -> Flow<Pass<S::Out>> {
        let info = stage.info();
        let cut = self.cut();
        let (mut plan, promises) = (cut.plan.clone(), cut.promises.clone());
        let node = plan.add(info.clone());
        plan.edges.extend(cut.edges_to(node, info.workers));
        plan.carries::<S::Out>();
        Flow {
            chain: Pass::default(),
            upstream: Upstream {
                plan,
                promises,
                last: vec![node],
                label: None,
                workers: info.workers,
                is_source: false,
                connect: Box::new(move |assembly, outlet| add(assembly, cut, stage, outlet)),
            },
        }
    }

    /// Joins another flow whose messages hold the same: several sources, one pipeline.
    pub fn merge<Q>(self, other: Flow<Q>) -> Flow<Pass<O::Out>>
    where
        Q: Operator<Out = O::Out>,
    {
        let (mine, theirs) = (self.fused(), other.fused());
        let mut plan = mine.plan;
        let offset = plan.join(theirs.plan);
        let mut promises = mine.promises;
        promises.join(theirs.promises);
        let mut last = mine.last;
        last.extend(theirs.last.into_iter().map(|node| node + offset));
        Flow {
            chain: Pass::default(),
            upstream: Upstream {
                plan,
                promises,
                last,
                label: None,
                workers: mine.workers + theirs.workers,
                is_source: mine.is_source && theirs.is_source,
                connect: Box::new(move |assembly, outlet| {
                    (mine.connect)(assembly, outlet.clone());
                    (theirs.connect)(assembly, outlet);
                }),
            },
        }
    }

    /// Puts the chain behind the workers upstream: a flow without operators.
    pub(crate) fn fused(self) -> Upstream<O::Out> {
        let fused = names(&self.chain);
        let up = self.upstream;
        let mut label = up.label;
        if !fused.is_empty() {
            let words = label
                .into_iter()
                .chain(fused.iter().map(ToString::to_string));
            label = Some(words.collect::<Vec<_>>().join(", "));
        }
        let chain = Arc::new(self.chain);
        let connect = up.connect;
        Upstream {
            plan: up.plan,
            promises: up.promises,
            last: up.last,
            label,
            workers: up.workers,
            is_source: up.is_source,
            connect: Box::new(move |assembly, outlet| {
                connect(assembly, behind(assembly, chain, &fused, outlet));
            }),
        }
    }

    /// Cuts the flow with a link, the chain on the side where more workers are.
    pub(crate) fn cut(self) -> Cut<O::Out> {
        let fused = names(&self.chain);
        let up = self.upstream;
        let in_front = up.is_source;
        let mut plan = up.plan;
        plan.carries::<O::Out>();
        let edge = |&from| Edge {
            fused: fused.clone(),
            ..Edge::direct(from, 0, up.label.clone())
        };
        let edges = up.last.iter().map(edge).collect();
        let (chain, connect, workers) = (Arc::new(self.chain), up.connect, up.workers);
        Cut {
            plan,
            promises: up.promises,
            edges,
            in_front,
            workers,
            connect: Box::new(move |assembly, consumers, stats| {
                // On this side of the chain a message holds one thing, on that side another.
                if in_front {
                    let (outlet, wired) = assembly.link(workers, consumers, stats);
                    connect(assembly, outlet);
                    Wired {
                        inlet: in_front_of(assembly, chain, &fused, wired.inlet),
                        queue: wired.queue,
                    }
                } else {
                    let (outlet, wired) = assembly.link(workers, consumers, stats);
                    connect(assembly, behind(assembly, chain, &fused, outlet));
                    wired
                }
            }),
        }
    }
}

impl<T> Cut<T> {
    /// The edges to the next stage. One link serves them all: the first carries its chunks.
    pub(crate) fn edges_to(&self, to: Node, consumers: usize) -> Vec<Edge> {
        let chunks = buffers(self.workers, consumers);
        let edge = |(i, edge): (usize, &Edge)| Edge {
            to,
            buffers: if i == 0 { chunks } else { 0 },
            runs_in: if self.in_front { to } else { edge.from },
            ..edge.clone()
        };
        self.edges.iter().enumerate().map(edge).collect()
    }

    /// Wires everything upstream; makes inlets for `consumers` workers of a stage.
    pub(crate) fn wire(
        self,
        assembly: &mut Assembly,
        consumers: usize,
        stats: &Arc<StageStats>,
    ) -> Wired<Message<T>> {
        (self.connect)(assembly, consumers, stats)
    }
}

fn add<T: Send + 'static, S: Stage<T>>(
    assembly: &mut Assembly,
    cut: Cut<T>,
    stage: S,
    outlet: Ends<dyn Outlet<Message<S::Out>>>,
) {
    let info = stage.info();
    let policies = stage.policies();
    let stats = assembly.stats();
    let control = StageControl::new(info.workers, info.concurrency).with_parking(info.parking);
    let control = Arc::new(control);
    let failures = assembly.failures(&info.name, &stats, stage.hook());
    let Wired { inlet, queue } = cut.wire(assembly, info.workers, &stats);
    let (ports_stats, ports_control) = (stats.clone(), control.clone());
    let factory = Box::new(move |worker| {
        let ports = Ports {
            inlet: inlet(),
            outlet: outlet(),
            failures: failures(),
            stats: ports_stats.clone(),
            control: ports_control.clone(),
        };
        stage.work(worker, ports)
    });
    assembly.stages.push(StageEntry {
        info,
        stats,
        control,
        queue: Some(queue),
        policies,
        factory,
    });
}

fn names<O: Operator>(chain: &O) -> Vec<&'static str> {
    let mut names = Vec::new();
    chain.describe(&mut names);
    names
}

fn behind<O: Operator>(
    assembly: &Assembly,
    chain: Arc<O>,
    names: &[&str],
    outlet: Ends<dyn Outlet<Message<O::Out>>>,
) -> Ends<dyn Outlet<Message<O::In>>> {
    let failures = chain_failures(assembly, names);
    Arc::new(move || chain.clone().behind(outlet(), failures()))
}

fn in_front_of<O: Operator>(
    assembly: &Assembly,
    chain: Arc<O>,
    names: &[&str],
    inlet: Ends<dyn Inlet<Message<O::In>>>,
) -> Ends<dyn Inlet<Message<O::Out>>> {
    let failures = chain_failures(assembly, names);
    Arc::new(move || chain.clone().in_front(inlet(), failures()))
}

/// A chain goes by the names of its operators: `decode, filter`. Its failures name the one.
fn chain_failures(
    assembly: &Assembly,
    names: &[&str],
) -> Arc<dyn Fn() -> towpath_core::FailureRoute + Send + Sync> {
    let stats = Arc::<StageStats>::default();
    assembly.failures(&names.join(", ").into(), &stats, None)
}

impl<O: Operator> fmt::Debug for Flow<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("plan", &self.upstream.plan)
            .finish_non_exhaustive()
    }
}
