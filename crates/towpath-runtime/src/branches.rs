//! Forks: each message to one branch by its route, or a copy to every branch.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use towpath_core::{Ends, Message, Outlet, StageInfo, StageName, StageStats};
use towpath_processor::{Operator, operator::Pass};

use crate::{
    Flow, Pipeline,
    assembly::Assembly,
    flow::Upstream,
    plan::{Edge, Plan},
    port::{Copy, Route, Tee},
    promise::Promises,
};

/// How many messages a router keeps per worker for branches without room.
const STASH: usize = 64;

type BoxOutlet<T> = Box<dyn Outlet<Message<T>>>;
type BranchEnds<T> = Ends<dyn Outlet<Message<T>>>;
type Slot<T> = Arc<Mutex<Option<BranchEnds<T>>>>;

/// The branches of a router, each with its route.
pub struct Branches<T, K> {
    /// The workers upstream: each holds a chunk of every branch.
    workers: usize,
    branches: Vec<(K, Branch<T>)>,
}

/// The branches of a tee.
pub struct Copies<T> {
    workers: usize,
    branches: Vec<(bool, Branch<T>)>,
}

struct Branch<T> {
    name: String,
    pipeline: Pipeline,
    outlet: Slot<T>,
}

impl<T: Send + 'static> Branch<T> {
    /// Builds the branch from a flow whose upstream is not known yet.
    fn build(name: String, workers: usize, build: impl FnOnce(Flow<Pass<T>>) -> Pipeline) -> Self {
        let outlet: Slot<T> = Arc::default();
        let slot = outlet.clone();
        let mut plan = Plan::default();
        let node = plan.add(StageInfo::new(name.as_str().into(), "branch"));
        let flow = Flow {
            chain: Pass::default(),
            upstream: Upstream {
                plan,
                promises: Promises::default(),
                last: vec![node],
                label: None,
                workers,
                is_source: false,
                connect: Box::new(move |_, end| {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
                }),
            },
        };
        let mut pipeline = build(flow);
        if pipeline.letters.is_some() {
            let problem = "dead letters are written for the whole pipeline, not for a branch";
            pipeline.plan.stages[node].problems.push(problem.to_owned());
        }
        Self {
            name,
            pipeline,
            outlet,
        }
    }

    /// Wires the branch; gives the outlet at its beginning.
    fn wire(self, assembly: &mut Assembly) -> Option<BranchEnds<T>> {
        (self.pipeline.connect)(assembly);
        self.outlet
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl<T: Send + 'static, K: fmt::Debug> Branches<T, K> {
    /// Adds the branch of a route. What has no branch is rejected as an unknown route.
    #[must_use]
    pub fn to(mut self, route: K, build: impl FnOnce(Flow<Pass<T>>) -> Pipeline) -> Self {
        let name = format!("{route:?}");
        self.branches
            .push((route, Branch::build(name, self.workers, build)));
        self
    }
}

impl<T: Send + 'static> Copies<T> {
    /// Adds a branch that a message must have passed before it is acknowledged.
    #[must_use]
    pub fn required(
        mut self,
        name: impl Into<String>,
        build: impl FnOnce(Flow<Pass<T>>) -> Pipeline,
    ) -> Self {
        self.branches
            .push((true, Branch::build(name.into(), self.workers, build)));
        self
    }

    /// Adds a branch that nobody waits for: a copy that finds no room is lost and counted.
    #[must_use]
    pub fn best_effort(
        mut self,
        name: impl Into<String>,
        build: impl FnOnce(Flow<Pass<T>>) -> Pipeline,
    ) -> Self {
        self.branches
            .push((false, Branch::build(name.into(), self.workers, build)));
        self
    }
}

impl<O: Operator> Flow<O> {
    /// Sends each message to one branch, by the route that `route` gives it.
    ///
    /// ```
    /// use towpath_runtime::Flow;
    /// use towpath_producer::Source;
    ///
    /// let pipeline = Flow::from(Source::iter("numbers", 0..10))
    ///     .route("parity", |n| n % 2, |branches| {
    ///         branches
    ///             .to(0, |even| even.acknowledge())
    ///             .to(1, |odd| odd.acknowledge())
    ///     });
    /// # let _ = pipeline;
    /// ```
    pub fn route<K, F, B>(self, name: impl Into<StageName>, route: F, build: B) -> Pipeline
    where
        K: PartialEq + Clone + fmt::Debug + Send + Sync + 'static,
        F: Fn(&O::Out) -> K + Send + Sync + 'static,
        B: FnOnce(Branches<O::Out, K>) -> Branches<O::Out, K>,
    {
        let name = name.into();
        let up = self.fused();
        let Branches { branches, .. } = build(Branches {
            workers: up.workers,
            branches: Vec::new(),
        });
        let mut info = StageInfo::new(name.clone(), "router").holding(STASH * up.workers);
        if branches.is_empty() {
            info = info.problem("it needs a branch");
        }
        let parts = branches.iter().map(|(_, branch)| (branch, None));
        let (plan, promises) = fork(&up, info, parts);
        let connect = up.connect;
        let route = Arc::new(route);
        Pipeline::ending(plan, promises, move |assembly| {
            let wired = wire_all(assembly, branches);
            let stats = assembly.stats();
            let failures = assembly.failures(&name, &stats, None);
            let outlet: Ends<dyn Outlet<Message<O::Out>>> = Arc::new(move || {
                let ends = wired.iter().map(|(key, end)| (key.clone(), end()));
                Box::new(Route::new(route.clone(), ends.collect(), failures()))
            });
            connect(assembly, outlet);
        })
    }

    /// Copies each message to every branch; it is acknowledged when the required ones have.
    pub fn tee<B>(self, name: impl Into<StageName>, build: B) -> Pipeline
    where
        O::Out: Clone,
        B: FnOnce(Copies<O::Out>) -> Copies<O::Out>,
    {
        let name = name.into();
        let up = self.fused();
        let Copies { branches, .. } = build(Copies {
            workers: up.workers,
            branches: Vec::new(),
        });
        let mut info = StageInfo::new(name.clone(), "tee").holding(STASH * up.workers);
        if !branches.iter().any(|(required, _)| *required) {
            info = info.problem("it needs a required branch: nothing else acknowledges");
        }
        let parts = branches
            .iter()
            .map(|(required, branch)| (branch, (!required).then_some("best effort")));
        let (plan, promises) = fork(&up, info, parts);
        let connect = up.connect;
        Pipeline::ending(plan, promises, move |assembly| {
            let wired = wire_all(assembly, branches);
            let stats = assembly.stats();
            let failures = assembly.failures(&name, &stats, None);
            assembly.counters(StageInfo::new(name, "tee"), stats.clone());
            let outlet: Ends<dyn Outlet<Message<O::Out>>> = Arc::new(move || {
                let copies = wired
                    .iter()
                    .map(|(required, end)| copy(*required, end(), &stats));
                Box::new(Tee::new(copies.collect(), failures()))
            });
            connect(assembly, outlet);
        })
    }
}

fn copy<T>(required: bool, outlet: BoxOutlet<T>, stats: &Arc<StageStats>) -> Copy<T> {
    Copy {
        outlet,
        required,
        stats: stats.clone(),
        room: 0,
        queue: VecDeque::new(),
    }
}

fn wire_all<T: Send + 'static, K>(
    assembly: &mut Assembly,
    branches: Vec<(K, Branch<T>)>,
) -> Vec<(K, BranchEnds<T>)> {
    let wire = |(key, branch): (K, Branch<T>)| branch.wire(assembly).map(|end| (key, end));
    branches.into_iter().filter_map(wire).collect()
}

/// The plan of a fork: everything upstream, the fork itself, and its branches.
fn fork<'a, X, T: 'a>(
    up: &Upstream<X>,
    info: StageInfo,
    branches: impl Iterator<Item = (&'a Branch<T>, Option<&'static str>)>,
) -> (Plan, Promises) {
    let (mut plan, mut promises) = (up.plan.clone(), up.promises.clone());
    let node = plan.add(info);
    plan.edges.extend(
        up.last
            .iter()
            .map(|&from| Edge::direct(from, node, up.label.clone())),
    );
    for (branch, note) in branches {
        let offset = plan.join(branch.pipeline.plan.clone());
        let label = note.map(|note| format!("{} ({note})", branch.name));
        plan.edges.push(Edge::direct(node, offset, label));
        promises.join(branch.pipeline.promises.clone());
        if note.is_some() {
            promises.leak(format!("branch {} is best effort", branch.name));
        }
    }
    (plan, promises)
}

impl<T, K> fmt::Debug for Branches<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Branches")
            .field("len", &self.branches.len())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Copies<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies")
            .field("len", &self.branches.len())
            .finish_non_exhaustive()
    }
}
