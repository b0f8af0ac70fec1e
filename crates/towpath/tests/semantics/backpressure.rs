//! Nobody is asked for more than somebody can take: what is in flight has a bound, and holds it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{num::NonZeroUsize, time::Duration};

use proptest::prelude::*;
use tokio::time::{sleep, timeout};
use towpath::{Batcher, Ending, Flow, Ingress, Overflow, Pipeline, Processor, Source};
use towpath_test::{Cue, Outcomes, Recorder, TestSource, assert_no_leaks, check};

use crate::events::idle;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_source_is_never_asked_for_more_than_a_chunk_nor_while_nobody_can_take_it() {
    let (source, outcomes) = TestSource::new(0..100_000_u64).build();
    let recorder = Recorder::new().hang_on_batch(0);
    let pipeline = Flow::from(source)
        .process(Processor::new("work", Cue::new().handler()).unordered(4))
        .sink(recorder.sink("sink"))
        .max_demand(16);
    let running = pipeline.start().await.unwrap();
    recorder.wait_for_batches(1).await;
    idle().await;
    let stuck = running.handle().status();
    let asked = outcomes.demands().len();
    sleep(HOUR).await;
    assert_eq!(outcomes.demands().len(), asked, "not asked for an hour");
    assert!(stuck.counts.emitted <= stuck.bound, "{stuck:?}");
    recorder.release();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert!(
        outcomes
            .demands()
            .iter()
            .all(|demand| (1..=16).contains(demand))
    );
    assert_eq!(
        outcomes.count("done"),
        100_000,
        "nothing was dropped meanwhile"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_a_hundred_times_too_slow_holds_the_source_back_for_as_long_as_it_takes() {
    let (source, outcomes) = TestSource::new(0..u64::MAX).build();
    let recorder = Recorder::new().delay(Duration::from_millis(100));
    let cue = Cue::new().delay(Duration::from_millis(1));
    let pipeline = Flow::from(source)
        .process(Processor::new("work", cue.handler()).unordered(16))
        .batch(Batcher::new("batch").max_messages(10))
        .sink(recorder.sink("sink"));
    let running = pipeline.start().await.unwrap();
    let bound = running.handle().status().bound;
    for _ in 0..10 {
        sleep(MINUTE).await;
        let counts = running.handle().status().counts;
        assert!(counts.in_flight <= bound, "{counts:?}");
    }
    assert_eq!(
        outcomes.count("done"),
        60_000 - 10,
        "600 seconds at 100 a second"
    );
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::Stopped);
    assert!(report.counts.high_water <= bound);
}

#[tokio::test(start_paused = true)]
async fn one_slow_message_of_an_ordered_stage_bounds_how_far_the_others_run_ahead() {
    let (source, _) = TestSource::new(0..1_000_000_u64).endless().build();
    let cue = Cue::new().hang_when(|n| *n == 0);
    let processor = Processor::new("work", cue.handler()).ordered(16);
    let pipeline = Flow::from(source)
        .process(processor)
        .acknowledge()
        .max_demand(8);
    let running = pipeline.start().await.unwrap();
    sleep(HOUR).await;
    let status = running.handle().status();
    assert!((2..=16).contains(&cue.calls()), "{} ran ahead", cue.calls());
    assert_eq!(status.counts.done, 0);
    assert!(status.counts.emitted <= status.bound, "{status:?}");
    cue.release();
    running.handle().drain();
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn one_slow_batch_bounds_how_far_the_source_is_read_ahead() {
    let (source, _) = TestSource::new(0..1_000_000_u64).endless().build();
    let recorder = Recorder::new().hang_on_batch(0);
    let pipeline = Flow::from(source)
        .batch(Batcher::new("batch").max_messages(128))
        .sink(recorder.sink("sink"));
    let bound = pipeline.explain().bound();
    let running = pipeline.start().await.unwrap();
    sleep(HOUR).await;
    let emitted = running.handle().status().counts.emitted;
    assert!(
        (128..=bound).contains(&emitted) && bound < 1000,
        "{emitted} of {bound}"
    );
    recorder.release();
    running.handle().drain();
    assert_no_leaks(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_dead_consumer_returns_its_credit_and_the_messages_it_had_not_started() {
    let (source, outcomes) = TestSource::new(0..500_u64).redelivering(3).build();
    let cue = Cue::new().hang_when(|n| *n == 0);
    let processor = Processor::new("work", cue.handler())
        .unordered(2)
        .workers(2);
    let pipeline = Flow::from(source)
        .process(processor)
        .acknowledge()
        .max_demand(50);
    let running = pipeline.start().await.unwrap();
    // All but the message that hangs: nothing unstarted waits behind it.
    timeout(MINUTE, outcomes.wait_for(499))
        .await
        .expect("the others went on");
    running.handle().kill_worker("work", 0).unwrap();
    running.handle().kill_worker("work", 1).unwrap();
    cue.release();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (outcomes.count("done"), outcomes.count("retried")),
        (500, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_demand_of_one_message_works_everywhere() {
    let (source, outcomes) = TestSource::new(0..200_u64).build();
    let (left, right) = (Recorder::new(), Recorder::new());
    let (to_left, to_right) = (left.sink("left"), right.sink("right"));
    let report = Flow::from(source)
        .map(|n| n)
        .process(
            Processor::new("first", Cue::new().handler())
                .unordered(8)
                .workers(4),
        )
        .flat_map(|n| [n, n])
        .process(Processor::new("second", Cue::new().handler()).by_key(3, |n| n % 5))
        .process(Processor::new("third", Cue::new().handler()).ordered(2))
        .route(
            "parity",
            |n| n % 2,
            |branches| {
                branches
                    .to(0, |even| {
                        even.batch(Batcher::new("batch").max_messages(7))
                            .sink(to_left)
                    })
                    .to(1, |odd| odd.sink(to_right))
            },
        )
        .max_demand(1)
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 200);
    assert_eq!((left.items().len(), right.items().len()), (200, 200));
    assert!(outcomes.demands().iter().all(|demand| *demand == 1));
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_messages_holds_over_the_whole_pipeline() {
    for budget in [1, 2, 7, 50] {
        let (source, outcomes) = TestSource::new(0..500_u64).build();
        let cue = Cue::new().delay_by(|n| Duration::from_millis(n % 7));
        let pipeline = Flow::from(source)
            .process(
                Processor::new("work", cue.handler())
                    .unordered(64)
                    .workers(2),
            )
            .batch(
                Batcher::new("batch")
                    .max_messages(20)
                    .max_wait(Duration::from_millis(5)),
            )
            .sink(Recorder::new().sink("sink"))
            .budget(budget);
        assert_eq!(pipeline.explain().bound(), budget);
        let report = pipeline.run().await.unwrap();
        assert_no_leaks(&report);
        assert_eq!((outcomes.count("done"), report.bound), (500, budget));
        assert_eq!(report.counts.high_water, budget, "it is used");
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_holds_over_many_sources_together_and_starves_none() {
    let sources = |n: u64| {
        let source = TestSource::new(0..100_u64)
            .named(format!("source {n}"))
            .chunk(9);
        let (source, outcomes) = source.build();
        (Flow::from(source), outcomes)
    };
    let (mut flow, first) = sources(0);
    let mut outcomes = vec![first];
    for n in 1..5 {
        let (next, told) = sources(n);
        flow = flow.merge(next);
        outcomes.push(told);
    }
    let (idle_source, _) = TestSource::<u64>::new([]).named("idle").endless().build();
    let cue = Cue::new().delay_by(|n| Duration::from_millis(n % 7));
    let pipeline = flow
        .merge(Flow::from(idle_source))
        .process(Processor::new("work", cue.handler()).unordered(64))
        .acknowledge()
        .budget(10);
    let running = pipeline.start().await.unwrap();
    for told in &outcomes {
        timeout(HOUR, told.wait_for(100))
            .await
            .expect("none starves");
    }
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((report.counts.done, report.counts.high_water), (500, 10));
}

#[tokio::test(start_paused = true)]
async fn a_budget_holds_for_what_a_source_hands_out_while_it_drains() {
    let (ingress, handle) = Ingress::new(NonZeroUsize::new(1000).unwrap(), Overflow::Reject);
    let cue = Cue::new().delay(Duration::from_millis(1));
    let pipeline = Flow::from(Source::new("ingress", ingress))
        .process(Processor::new("work", cue.handler()).unordered(64))
        .acknowledge()
        .budget(3);
    let running = pipeline.start().await.unwrap();
    running.handle().pause();
    for n in 0..1000_u64 {
        handle.try_push(n).unwrap();
    }
    running.handle().drain();
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!((report.counts.done, report.counts.high_water), (1000, 3));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_outstanding_messages_of_a_source_are_unsettled() {
    let (source, outcomes) = TestSource::new(0..300_u64).build();
    let source = source.max_outstanding(NonZeroUsize::new(10).unwrap());
    let cue = Cue::new().delay(Duration::from_millis(1));
    let report = Flow::from(source)
        .process(Processor::new("work", cue.handler()).unordered(64))
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (outcomes.count("done"), report.counts.high_water),
        (300, 10)
    );
}

#[tokio::test(start_paused = true)]
async fn letters_on_their_way_are_part_of_the_bound() {
    let (source, outcomes) = TestSource::new(0..5000_u64).build();
    let cue = Cue::new().fail_when(|_| true);
    let letters = Recorder::new().delay(Duration::from_millis(10));
    let report = Flow::from(source)
        .process(
            Processor::new("work", cue.handler())
                .unordered(16)
                .workers(4),
        )
        .acknowledge()
        .dead_letter(letters.sink("letters"))
        .max_demand(4)
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (outcomes.count("rejected"), letters.items().len()),
        (5000, 5000)
    );
}

#[tokio::test(start_paused = true)]
async fn the_bound_that_is_explained_is_the_one_that_is_reported() {
    let (source, _) = TestSource::new(0..100_u64).build();
    let pipeline = Flow::from(source)
        .process(
            Processor::new("work", Cue::new().handler())
                .unordered(9)
                .workers(3),
        )
        .batch(Batcher::new("batch").max_messages(20))
        .sink(Recorder::new().sink("sink").workers(2))
        .max_demand(10);
    let explained = pipeline.explain();
    // Links: (1 + 3 + 2) and (3 + 1 + 2) chunks of 10, 2 batches of 20. Stages: 10 of the
    // source, 3 workers of 10, and 2 batches of 20 in the batcher.
    assert_eq!(explained.bound(), 60 + 60 + 40 + 10 + 30 + 40);
    assert!(
        explained
            .to_string()
            .contains("bound      240 messages in flight")
    );
    let running = pipeline.start().await.unwrap();
    assert_eq!(running.handle().status().bound, 240);
    assert_eq!(running.handle().explain().bound(), 240);
    let report = running.join().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.bound, 240);
}

/// The shape of a pipeline, and how it is disturbed.
#[derive(Clone, Debug)]
struct Shape {
    messages: u64,
    max_demand: usize,
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
    let fork = prop_oneof![Just(Fork::None), Just(Fork::Route), Just(Fork::Tee)];
    let shape = (1..300_u64, 1..20_usize, prop::collection::vec(kind, 0..4));
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
        stages: shape.2,
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
        let first = Processor::new("first", self.cue().handler());
        let flow = self.stages(Flow::from(source).process(first.unordered(4)));
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
