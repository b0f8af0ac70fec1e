//! Closures, payloads and observers that panic: one message fails, nobody dies.

use towpath::{Batcher, Close, Ending, Event, Flow, Processor};
use towpath_test::{Cue, Recorder, TestSource, assert_no_leaks, check};

#[tokio::test(start_paused = true)]
async fn an_operator_that_panics_fails_one_message() {
    let (source, outcomes) = TestSource::of(0..10);
    let boom = |n: &u32, at: u32| assert!(*n != at, "operator panics on cue");
    let report = Flow::from(source)
        .map(move |n: u32| {
            boom(&n, 1);
            n
        })
        .filter("none", move |n| {
            boom(n, 2);
            true
        })
        .flat_map(move |n| {
            boom(&n, 3);
            [n]
        })
        .inspect(move |n| boom(n, 4))
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!((report.counts.done, report.counts.rejected), (6, 4));
    for index in [1, 2, 3, 4] {
        assert_eq!(outcomes.only(index).word(), "rejected");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_a_weight_and_a_route_that_panic_fail_one_message_each() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let boom = |n: u32, at: u32| assert!(n != at, "panics on cue");
    let recorder = Recorder::new();
    let sink = recorder.sink("sink");
    let batcher = Batcher::new("batch")
        .key(move |n: &u32| {
            boom(*n, 2);
            n % 2
        })
        .max_weight(3, move |n: &u32| {
            boom(*n, 3);
            1
        });
    let report = Flow::from(source)
        .process(
            Processor::new("work", Cue::new().handler()).by_key(2, move |n: &u32| {
                boom(*n, 0);
                *n
            }),
        )
        .route(
            "route",
            move |n| boom(*n, 1),
            |branches| branches.to((), |all| all.batch(batcher).sink(sink)),
        )
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    for index in 0..4 {
        assert_eq!(outcomes.only(index).word(), "rejected", "{index}");
    }
    assert_eq!((report.counts.done, recorder.items().len()), (6, 6));
}

#[tokio::test(start_paused = true)]
async fn a_splitter_that_panics_takes_one_message_with_it() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let recorder = Recorder::new();
    let batcher = Batcher::new("batch").close_when(0, |_: &mut i32, n: &u32| {
        assert!(*n != 3, "panics on cue");
        Close::No
    });
    let report = Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink"))
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_ne!(outcomes.only(3).word(), "done");
    assert_eq!((report.counts.done, report.counts.emitted), (9, 10));
}

#[derive(Debug, serde::Serialize)]
struct Fragile(u32);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(self.0 != 3, "clone panics on cue");
        Self(self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_panics_when_it_is_kept_goes_on_without_an_original() {
    let items = (0..10).map(Fragile);
    let (source, outcomes) = TestSource::new(items).keep_original().build();
    let report = Flow::from(source)
        .acknowledge()
        .dead_letter(Recorder::new().sink("letters"))
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 10);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_disturbs_nothing() {
    let (source, outcomes) = TestSource::of(0..10);
    let cue = Cue::new().fail_when(|n| *n == 5);
    let report = Flow::from(source)
        .process(Processor::new("work", cue.handler()))
        .acknowledge()
        .observer(|_: &Event| panic!("the observer panics on cue"))
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(report.ending, Ending::Finished);
    assert_eq!((outcomes.count("done"), outcomes.count("rejected")), (9, 1));
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_told_again_when_telling_fails_or_panics() {
    let (source, outcomes) = TestSource::new(0..10)
        .settle_panics(2)
        .settle_fails(2)
        .build();
    let report = Flow::from(source).acknowledge().run().await.unwrap();
    assert_no_leaks(&report);
    assert_eq!(outcomes.count("done"), 10);
    assert_eq!(report.sources[0].settled.failed, 0);
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_cannot_be_told_are_counted_and_show_in_the_exit_code() {
    let (source, outcomes) = TestSource::new(0..10).settle_fails(usize::MAX).build();
    let report = Flow::from(source).acknowledge().run().await.unwrap();
    check(&report);
    assert_eq!(outcomes.total(), 0);
    assert_eq!(report.sources[0].settled.failed, 10);
    assert_eq!((&report.ending, report.exit_code()), (&Ending::Finished, 1));
}
