//! Options that make no sense: an error that names stage and option, and nothing starts.

use std::{num::NonZeroUsize, time::Duration};

use towpath::{Batcher, BuildError, DeadLetter, Flow, Guarantee, Pipeline, Processor};
use towpath_test::{Cue, Recorder, TestSource, check};

/// What a pipeline has to complain about.
async fn problems(pipeline: Pipeline) -> Vec<String> {
    let checked = pipeline.check().expect_err("it is not valid");
    let started = pipeline.start().await.expect_err("it is not valid");
    assert_eq!(checked.to_string(), started.to_string());
    match started {
        BuildError::Invalid { problems, .. } => problems,
        other => panic!("{other}"),
    }
}

fn processed(change: impl FnOnce(Processor<Handler>) -> Processor<Handler>) -> Pipeline {
    let (source, _) = TestSource::of(0..10_u32);
    let handle: fn(u32) -> std::future::Ready<Result<u32, towpath::BoxError>> =
        |n| std::future::ready(Ok(n));
    Flow::from(source)
        .process(change(Processor::new("handle", handle)))
        .acknowledge()
}

type Handler =
    towpath::processor::FnService<fn(u32) -> std::future::Ready<Result<u32, towpath::BoxError>>>;

#[tokio::test(start_paused = true)]
async fn a_processor_without_slots_or_workers_is_refused() {
    let zero = problems(processed(|p| p.concurrency(0))).await;
    assert_eq!(zero, ["stage handle: concurrency must be at least 1"]);
    let zero = problems(processed(|p| p.workers(0))).await;
    assert_eq!(zero, ["stage handle: workers must be 1 to 4096"]);
    let many = problems(processed(|p| p.concurrency(usize::MAX).workers(usize::MAX))).await;
    assert_eq!(many, ["stage handle: workers must be 1 to 4096"]);
}

#[tokio::test(start_paused = true)]
async fn a_batcher_that_holds_nothing_is_refused() {
    let (source, _) = TestSource::of(0..10_u32);
    let pipeline = Flow::from(source)
        .batch(
            Batcher::new("collect")
                .max_messages(0)
                .max_open_keys(0)
                .key(|n: &u32| *n),
        )
        .sink(Recorder::new().sink("write").workers(0));
    let expected = [
        "stage collect: max_messages must be at least 1",
        "stage collect: max_open_keys must be at least 1",
        "stage write: workers must be 1 to 4096",
    ];
    assert_eq!(problems(pipeline).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_chunk_processor_without_chunks_is_refused() {
    let (source, _) = TestSource::of(0..10_u32);
    let look_up = |chunk: Vec<u32>| async move {
        Ok(chunk.into_iter().map(Ok::<_, towpath::BoxError>).collect())
    };
    let pipeline = Flow::from(source)
        .process(Processor::chunk("look up", look_up).max_messages(0))
        .acknowledge();
    let expected = ["stage look up: max_messages must be at least 1"];
    assert_eq!(problems(pipeline).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_may_ask_for_nothing_or_for_everything_is_refused() {
    for demand in [0, usize::MAX] {
        let asked = problems(processed(|p| p).max_demand(demand)).await;
        assert_eq!(asked, ["max_demand must be 1 to 1048576"]);
    }
    let budget = problems(processed(|p| p).budget(0)).await;
    assert_eq!(budget, ["budget must be at least 1"]);
    let deadline = problems(processed(|p| p).deadline(Duration::ZERO)).await;
    assert_eq!(deadline, ["deadline must be longer than zero"]);
}

#[tokio::test(start_paused = true)]
async fn stages_of_the_same_name_or_of_none_are_refused() {
    let (source, _) = TestSource::of(0..10_u32);
    let (first, second) = (Cue::new(), Cue::new());
    let pipeline = Flow::from(source)
        .process(Processor::new("handle", first.handler()))
        .process(Processor::new("handle", second.handler()))
        .sink(Recorder::new().sink(""))
        .named("");
    let expected = [
        "stage handle: another stage has the same name",
        "a sink has an empty name",
        "the name of the pipeline is empty",
    ];
    assert_eq!(problems(pipeline).await, expected);
    assert_eq!((first.calls(), second.calls()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_fork_that_would_lose_messages_or_letters_is_refused() {
    let flow = || Flow::from(TestSource::of(0..10_u32).0);
    let nowhere = flow().route("parity", |n| n % 2, |branches| branches);
    assert_eq!(problems(nowhere).await, ["stage parity: it needs a branch"]);

    let nobody = flow().tee("copies", |copies| {
        copies.best_effort("side", Flow::acknowledge)
    });
    let expected = ["stage copies: it needs a required branch: nothing else acknowledges"];
    assert_eq!(problems(nobody).await, expected);

    let letters = Recorder::<DeadLetter>::new();
    let hidden = flow().route(
        "parity",
        |n| n % 2,
        |branches| {
            branches
                .to(0, |even| {
                    even.acknowledge().dead_letter(letters.sink("letters"))
                })
                .to(1, Flow::acknowledge)
        },
    );
    let expected = ["stage 0: dead letters are written for the whole pipeline, not for a branch"];
    assert_eq!(problems(hidden).await, expected);
}

#[tokio::test(start_paused = true)]
async fn every_problem_is_reported_at_once_and_nothing_has_started() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let cue = Cue::new();
    let pipeline = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).ordered(0))
        .batch(Batcher::new("collect").max_messages(0))
        .sink(Recorder::new().sink("write"))
        .max_demand(0)
        .named("all wrong");
    let error = pipeline.start().await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "the pipeline all wrong is not valid: \
         stage handle: concurrency must be at least 1; \
         stage collect: max_messages must be at least 1; \
         max_demand must be 1 to 1048576"
    );
    assert!(outcomes.demands().is_empty() && cue.calls() == 0);
    assert!(towpath::find("all wrong").is_none());
}

#[tokio::test(start_paused = true)]
async fn options_that_are_huge_and_sensible_work() {
    let (source, _) = TestSource::of(0..500_u32);
    let recorder = Recorder::new();
    let cue = Cue::new().delay(Duration::from_millis(1));
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).unordered(usize::MAX))
        .process(
            Processor::new("lanes", Cue::new().handler())
                .by_key(usize::MAX, |n: &u32| *n)
                .parking(NonZeroUsize::MAX),
        )
        .batch(
            Batcher::new("collect")
                .max_messages(usize::MAX)
                .max_wait(Duration::MAX)
                .max_weight(u64::MAX, |_: &u32| u64::MAX)
                .max_open_keys(usize::MAX)
                .key(|n: &u32| n % 2),
        )
        .sink(recorder.sink("write"))
        .drain_deadline(Duration::MAX)
        .budget(u64::MAX)
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(recorder.items().len(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_promise_that_cannot_be_kept_is_refused_with_the_reasons() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let pipeline = Flow::from(source)
        .sink(Recorder::new().sink("write"))
        .require(Guarantee::AtLeastOnce);
    let error = pipeline.start().await.unwrap_err();

    let BuildError::Guarantee {
        required,
        promised,
        reasons,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(
        (*required, *promised),
        (Guarantee::AtLeastOnce, Guarantee::AtMostOnce)
    );
    assert!(reasons[0].contains("source"), "{reasons:?}");
    assert!(
        error
            .to_string()
            .contains("promises at most once, at least once is required")
    );
    assert!(outcomes.demands().is_empty());
}
