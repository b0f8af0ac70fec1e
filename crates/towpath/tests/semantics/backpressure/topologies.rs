//! Any topology ends, keeps its accounts and stays within its bound.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::timeout;
use towpath::{Batcher, Flow, Pipeline, Processor};
use towpath_test::{Cue, Outcomes, Recorder, TestSource, check};

use super::HOUR;

/// The shape of a pipeline, and how it is disturbed.
#[derive(Clone, Debug)]
struct Shape {
    messages: u64,
    max_demand: usize,
    first: First,
    stages: Vec<Kind>,
    batch: Option<(usize, bool)>,
    sink_workers: usize,
    fork: Fork,
    budget: Option<u64>,
    letters: bool,
    delays: u64,
    fails: u64,
}

#[derive(Clone, Debug)]
enum Kind {
    Unordered(usize, usize),
    Ordered(usize),
    Keyed(usize),
    Operators,
    Explode,
}

/// What takes from the source.
#[derive(Clone, Copy, Debug)]
enum First {
    Next,
    Work,
    MapAndWork(usize, usize),
    ExplodeAndWork(usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum Fork {
    None,
    Route,
    Tee,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let kind = prop_oneof![
        (1..9_usize, 1..4_usize).prop_map(|(n, w)| Kind::Unordered(n, w)),
        (1..9_usize).prop_map(Kind::Ordered),
        (1..9_usize).prop_map(Kind::Keyed),
        Just(Kind::Operators),
        Just(Kind::Explode),
    ];
    let first = prop_oneof![
        Just(First::Next),
        Just(First::Work),
        (1..40_usize, 1..4_usize).prop_map(|(n, w)| First::MapAndWork(n, w)),
        (1..40_usize, 1..4_usize).prop_map(|(n, w)| First::ExplodeAndWork(n, w)),
    ];
    let fork = prop_oneof![Just(Fork::None), Just(Fork::Route), Just(Fork::Tee)];
    let stages = prop::collection::vec(kind, 0..4);
    let shape = (1..300_u64, 1..20_usize, first, stages);
    let end = (
        prop::option::of((1..20_usize, any::<bool>())),
        1..4_usize,
        fork,
    );
    let disturbed = (
        prop::option::of(1..30_u64),
        any::<bool>(),
        1..9_u64,
        2..20_u64,
    );
    (shape, end, disturbed).prop_map(|(shape, end, disturbed)| Shape {
        messages: shape.0,
        max_demand: shape.1,
        first: shape.2,
        stages: shape.3,
        batch: end.0,
        sink_workers: end.1,
        fork: end.2,
        budget: disturbed.0,
        letters: disturbed.1,
        delays: disturbed.2,
        fails: disturbed.3,
    })
}

type Messages = Flow<towpath::processor::operator::Pass<u64>>;

impl Shape {
    fn cue(&self) -> Cue<u64> {
        let (delays, fails) = (self.delays, self.fails);
        Cue::new()
            .delay_by(move |n| Duration::from_millis(n % delays))
            .fail_when(move |n| n % fails == 1)
            .retry_when(move |n| n % (fails + 1) == 2)
            .panic_when(move |n| n % (fails + 2) == 3)
    }

    fn first(&self, flow: Messages) -> Messages {
        let work = Processor::new("first", self.cue().handler());
        match self.first {
            First::Next => flow,
            First::Work => flow.process(work.unordered(4)),
            First::MapAndWork(n, w) => {
                let work = work.unordered(n.max(w)).workers(w);
                flow.map(|n| n).process(work)
            }
            First::ExplodeAndWork(n, w) => {
                let work = work.unordered(n.max(w)).workers(w);
                flow.flat_map(|n| [n, n + 1]).process(work)
            }
        }
    }

    fn stages(&self, mut flow: Messages) -> Messages {
        for (index, kind) in self.stages.iter().enumerate() {
            let work = Processor::new(format!("stage {index}"), self.cue().handler());
            flow = match kind {
                Kind::Unordered(n, w) => flow.process(work.unordered(*n).workers(*w)),
                Kind::Ordered(n) => flow.process(work.ordered(*n)),
                Kind::Keyed(n) => flow.process(work.by_key(*n, |n: &u64| n % 5)),
                Kind::Operators => flow
                    .map(|n| n + 1)
                    .filter("sevenths", |n| n % 7 != 0)
                    .process(work.unordered(3)),
                Kind::Explode => flow
                    .flat_map(|n| [n, n + 1, n + 2])
                    .process(work.ordered(3)),
            };
        }
        flow
    }

    fn end(&self, flow: Messages, name: &str) -> Pipeline {
        let recorder = Recorder::new().delay(Duration::from_millis(self.delays));
        let sink = recorder
            .sink(format!("sink {name}"))
            .workers(self.sink_workers);
        let Some((size, keyed)) = self.batch else {
            return flow.sink(sink);
        };
        let batcher = Batcher::new(format!("batch {name}")).max_messages(size);
        let batcher = batcher.max_wait(Duration::from_millis(20));
        if keyed {
            flow.batch(batcher.key(|n: &u64| n % 3)).sink(sink)
        } else {
            flow.batch(batcher).sink(sink)
        }
    }

    fn pipeline(&self) -> (Pipeline, Outcomes) {
        let (source, outcomes) = TestSource::new(0..self.messages).build();
        let flow = self.stages(self.first(Flow::from(source)));
        let pipeline = match self.fork {
            Fork::None => self.end(flow, "all"),
            Fork::Route => flow.route(
                "parity",
                |n| n % 2,
                |branches| {
                    branches
                        .to(0, |even| self.end(even, "even"))
                        .to(1, |odd| self.end(odd, "odd"))
                },
            ),
            Fork::Tee => flow.tee("both", |copies| {
                copies
                    .required("required", |all| self.end(all, "required"))
                    .best_effort("effort", |all| self.end(all, "effort"))
            }),
        };
        let mut pipeline = pipeline.max_demand(self.max_demand);
        if let Some(budget) = self.budget {
            pipeline = pipeline.budget(budget);
        }
        if self.letters {
            let letters = Recorder::new().delay(Duration::from_millis(3));
            pipeline = pipeline.dead_letter(letters.sink("letters"));
        }
        (pipeline, outcomes)
    }

    async fn holds(self) {
        let (pipeline, outcomes) = self.pipeline();
        let report = timeout(10 * HOUR, pipeline.run()).await;
        let report = report
            .unwrap_or_else(|_| panic!("stuck: {self:#?}"))
            .unwrap();
        check(&report);
        assert_eq!(report.counts.emitted, self.messages);
        assert_eq!(outcomes.total() as u64, self.messages);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_topology_ends_keeps_its_accounts_and_stays_within_its_bound(shape in shapes()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(shape.holds());
    }
}
