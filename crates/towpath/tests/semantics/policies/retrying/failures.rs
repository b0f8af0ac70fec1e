//! Which failures are tried again: those that nobody has decided about.

use std::{io, time::Duration};

use tokio::time::Instant;
use towpath::{
    BoxError, DeadLetter, Failure, Flow, Outcome, Processor, Retry,
    policy::{Class, Exhausted, HttpStatus, classify_fn, find},
};
use towpath_test::{Outcomes, Recorder, TestSource, assert_no_leaks, check};

use super::{Calls, SECOND, every_second, letters, ms, rejected};

/// Runs one message through a handler that always fails so.
async fn fails_with(
    retry: Retry,
    error: impl Fn() -> BoxError + Clone + Send + Sync + 'static,
) -> (Calls, Outcomes) {
    let (source, outcomes) = TestSource::of(0..1_u64);
    let calls = Calls::default();
    let act = move |_, _| Err(error());
    let report = Flow::from(source)
        .process(Processor::new("call", calls.handler(ms(1), act)).retry(retry))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    (calls, outcomes)
}

#[tokio::test(start_paused = true)]
async fn what_the_handler_has_decided_is_not_tried_again_and_reaches_the_source_as_it_said() {
    let decisions: [fn() -> Failure; 4] = [
        || Failure::retry("busy"),
        || Failure::retry("busy").after(7 * SECOND),
        || Failure::reject("never"),
        || Failure::drop("unwanted"),
    ];
    for decide in decisions {
        let (calls, outcomes) = fails_with(every_second(5), move || decide().into()).await;
        assert_eq!(calls.len(), 1, "{:?}", decide());
        match (decide().retry_after(), outcomes.only(0)) {
            (
                Some(asked),
                Outcome::Retry {
                    after, attempts, ..
                },
            ) => {
                assert_eq!((after, attempts), (asked, 1));
            }
            (None, outcome) => assert_eq!(outcome.word(), decide().word()),
            (_, other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_cannot_overrule_a_decision() {
    let again = every_second(5).classify(classify_fn(|_| Class::TRANSIENT));
    let (calls, outcomes) = fails_with(again, || Failure::drop("unwanted").into()).await;
    assert_eq!((calls.len(), outcomes.only(0).word()), (1, "dropped"));
}

#[tokio::test(start_paused = true)]
async fn what_is_permanent_is_not_tried_again() {
    let (calls, outcomes) = fails_with(every_second(5), || HttpStatus(404).into()).await;
    assert_eq!(calls.len(), 1);
    assert_eq!(rejected::<HttpStatus>(&outcomes.only(0)), &HttpStatus(404));
    let denied = || io::Error::from(io::ErrorKind::PermissionDenied).into();
    assert_eq!(fails_with(every_second(5), denied).await.0.len(), 1);
    let cut = || io::Error::from(io::ErrorKind::ConnectionReset).into();
    assert_eq!(fails_with(every_second(5), cut).await.0.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_of_ones_own_decides_about_everything_else() {
    let mine = |error: &(dyn std::error::Error + 'static)| match find::<HttpStatus>(error) {
        Some(HttpStatus(404)) => Class::Transient {
            after: Some(3 * SECOND),
        },
        _ => Class::Permanent,
    };
    let begun = Instant::now();
    let (calls, outcomes) =
        fails_with(every_second(3).classify(mine), || HttpStatus(404).into()).await;
    assert_eq!(calls.times_of(0, begun), [ms(0), ms(3001), ms(6002)]);
    assert_eq!(rejected::<Exhausted>(&outcomes.only(0)).attempts, 3);
    let (calls, _) = fails_with(every_second(3).classify(mine), || HttpStatus(500).into()).await;
    assert_eq!(calls.len(), 1);

    // On the stage it goes before that of the retry.
    let (source, _) = TestSource::of(0..1_u64);
    let (calls, act) = (Calls::default(), |_, _| Err(BoxError::from("no")));
    let report = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(Duration::ZERO, act))
                .retry(every_second(3).classify(classify_fn(|_| Class::TRANSIENT)))
                .classify(classify_fn(|_| Class::Permanent)),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(calls.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_of_ones_own_ends_the_attempts() {
    let retry = Retry::custom(|retry, error| {
        let again = retry < 3 && error.to_string() == "busy";
        again.then(|| retry * SECOND)
    });
    let begun = Instant::now();
    let (calls, _) = fails_with(retry.clone().attempts(100), || "busy".into()).await;
    assert_eq!(calls.times_of(0, begun), [ms(0), ms(1001), ms(3002)]);
    assert_eq!(fails_with(retry, || "broken".into()).await.0.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_failure_is_not_tried_again_and_leaves_every_permit_there() {
    let (source, outcomes) = TestSource::of(0..40_u64);
    let (calls, letter_box) = (Calls::default(), Recorder::<DeadLetter>::new());
    // Every fourth fails, and panics when it is tried again.
    let act = |item: u64, before| match (item % 4, before) {
        (0, 0) => Err(BoxError::from("not yet")),
        (0, _) => panic!("on the second attempt"),
        _ => Ok(()),
    };
    let report = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(1), act))
                .retry(every_second(5))
                .unordered(1)
                .workers(1),
        )
        .acknowledge()
        .dead_letter(letter_box.sink("letters"))
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (30, 10)
    );
    assert_eq!(calls.len(), 30 + 20);
    for (place, attempts, chain) in letters(&letter_box) {
        assert_eq!((place % 4, attempts), (0, 2), "both attempts count");
        assert!(
            chain.concat().contains("on the second attempt"),
            "{chain:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_classifier_fails_one_message_and_leaves_every_permit_there() {
    let (source, outcomes) = TestSource::of(0..20_u64);
    let calls = Calls::default();
    let act = |item, before| match (item, before) {
        (0..5, _) => Err(BoxError::from("odd")),
        (_, 0) => Err("not yet".into()),
        _ => Ok(()),
    };
    let classify = classify_fn(|error| {
        assert!(error.to_string() != "odd", "the classifier panics");
        Class::TRANSIENT
    });
    let report = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(1), act))
                .retry(every_second(5).classify(classify))
                .unordered(1)
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (15, 5)
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_first_attempt_is_told_as_what_it_is() {
    let (source, outcomes) = TestSource::of(0..1_u64);
    let calls = Calls::default();
    let act = |_, _| panic!("broken");
    let report = Flow::from(source)
        .process(Processor::new("call", calls.handler(ms(1), act)).retry(every_second(5)))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let Outcome::Reject(cause) = outcomes.only(0) else {
        panic!("it is rejected");
    };
    assert!(cause.chain().concat().contains("broken"), "{cause:?}");
    assert_eq!(calls.len(), 1);
}
