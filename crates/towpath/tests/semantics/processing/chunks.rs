//! Processors over a whole chunk, which answer for each message by its place.

use towpath::{BoxError, Failure, Flow, Processor};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::rejected;

#[tokio::test(start_paused = true)]
async fn every_message_passes_a_chunk_processor_once() {
    let (source, _) = TestSource::new(0..1000_u32).chunk(33).build();
    let seen = Recorder::new();
    let report = Flow::from(source)
        .process(
            Processor::chunk("look up", |chunk: Vec<u32>| async move {
                assert!(chunk.len() <= 16);
                Ok(chunk
                    .into_iter()
                    .map(|n| Ok::<_, BoxError>(n * 2))
                    .collect())
            })
            .max_messages(16),
        )
        .sink(seen.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    let mut items = seen.items();
    items.sort_unstable();
    assert_eq!(items, (0..1000).map(|n| n * 2).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_chunk_fails_the_whole_chunk_and_skips_the_handler_behind() {
    let (source, outcomes) = TestSource::new(0..20_u32).chunk(10).build();
    let behind = Cue::new();
    let look_up = |chunk: Vec<u32>| async move {
        if chunk.contains(&13) {
            return Err(BoxError::from("no connection"));
        }
        Ok(chunk.into_iter().map(Ok::<_, BoxError>).collect())
    };
    let report = Flow::from(source)
        .process(Processor::chunk("look up", look_up).max_messages(10))
        .process(Processor::new("behind", behind.handler()))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.count("rejected") + behind.calls(), 20);
    assert!(behind.calls_of(&13) == 0 && outcomes.count("rejected") > 0);
    assert_eq!(
        rejected(&outcomes.only(13)),
        ("look up".to_owned(), vec!["no connection".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_over_a_chunk_fails_its_messages_and_no_others() {
    let (source, outcomes) = TestSource::new(0..40_u32).chunk(10).build();
    let look_up = |chunk: Vec<u32>| async move {
        assert!(!chunk.contains(&13), "thirteen");
        Ok(chunk.into_iter().map(Ok::<_, BoxError>).collect())
    };
    let report = Flow::from(source)
        .process(Processor::chunk("look up", look_up).max_messages(5))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.only(13).word(), "rejected");
    assert!((1..=5).contains(&outcomes.count("rejected")));
    assert_eq!(outcomes.count("done") + outcomes.count("rejected"), 40);
    assert_eq!(report.stages[0].counts.restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn messages_without_a_result_are_given_back_and_the_others_go_on() {
    let (source, outcomes) = TestSource::new(0..9_u32).chunk(3).build();
    let forgets_the_last = |chunk: Vec<u32>| async move {
        let keep = chunk.len() - 1;
        Ok(chunk
            .into_iter()
            .take(keep)
            .map(Ok::<_, BoxError>)
            .collect())
    };
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(
            Processor::chunk("look up", forgets_the_last)
                .max_messages(3)
                .concurrency(1),
        )
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.count("retried") + recorder.items().len(), 9);
    assert!(outcomes.count("retried") >= 3);
    assert_eq!(outcomes.count("done"), recorder.items().len());
}

#[tokio::test(start_paused = true)]
async fn surplus_results_are_ignored() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let too_many = |chunk: Vec<u32>| async move {
        let twice = chunk.clone().into_iter().chain(chunk);
        Ok(twice.map(Ok::<_, BoxError>).collect())
    };
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(Processor::chunk("look up", too_many))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(recorder.items().len(), 10);
    assert_eq!(outcomes.count("done"), 10);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_fails_in_its_chunk_skips_the_handler_behind() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let behind = Cue::new();
    let look_up = |chunk: Vec<u32>| async move {
        let judge = |n| match n {
            4 => Err(Failure::reject("unknown")),
            5 => Err(Failure::retry("not yet")),
            n => Ok(n),
        };
        Ok(chunk.into_iter().map(judge).collect())
    };
    let report = Flow::from(source)
        .process(Processor::chunk("look up", look_up))
        .process(Processor::new("behind", behind.handler()))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(
        (behind.calls(), behind.calls_of(&4), behind.calls_of(&5)),
        (8, 0, 0)
    );
    assert_eq!(outcomes.only(4).word(), "rejected");
    assert_eq!(outcomes.only(5).word(), "retried");
}
