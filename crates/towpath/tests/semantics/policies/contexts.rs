//! What a call can read of itself: when its time is over, and which attempt it is.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use towpath::{
    BoxError, DeadLetter, Flow, Processor,
    policy::{DeadlinePassed, Exhausted},
};
use towpath_test::{Recorder, TestSource, assert_no_leaks, check};

use super::retrying::{Calls, SECOND, every_second, fails, letters, ms, rejected};

#[tokio::test(start_paused = true)]
async fn without_a_deadline_there_is_none_to_read_and_no_attempt_but_the_first() {
    let (source, _) = TestSource::of(0..5_u64);
    let calls = Calls::default();
    let report = Flow::from(source)
        .process(Processor::new("call", calls.handler(ms(1), fails(0))))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert!(
        calls
            .all()
            .iter()
            .all(|call| call.deadline.is_none() && call.attempt == 1)
    );
    assert_eq!((towpath::deadline(), towpath::attempt()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_pipeline_goes_with_a_message_through_all_stages() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let stages = [Calls::default(), Calls::default(), Calls::default()];
    let [first, second, third] = &stages;
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(Processor::new("first", first.handler(ms(300), fails(0))).unordered(10))
        .process(Processor::new("second", second.handler(ms(300), fails(0))).ordered(10))
        .process(Processor::new("third", third.handler(ms(300), fails(0))).by_key(10, |n| *n))
        .acknowledge()
        .deadline(SECOND)
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 10);
    for (stage, calls) in stages.iter().enumerate() {
        let at = begun + ms(300) * u32::try_from(stage).unwrap();
        for call in calls.all() {
            assert_eq!((call.at, call.deadline), (at, Some(begun + SECOND)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_time_is_over_is_rejected_and_not_called() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let (first, second) = (Calls::default(), Calls::default());
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(
            Processor::new("first", first.handler(ms(400), fails(0)))
                .unordered(1)
                .workers(1),
        )
        .process(Processor::new("second", second.handler(ms(1), fails(0))).unordered(10))
        .acknowledge()
        .deadline(SECOND)
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    // Two get through in a second; the third comes too late to the second stage, the others
    // wait too long for the first.
    assert_eq!(
        (first.len(), second.len(), begun.elapsed()),
        (3, 2, ms(1200))
    );
    assert_eq!((outcomes.count("done"), outcomes.count("rejected")), (2, 8));
    for n in 2..10 {
        let outcome = outcomes.only(n);
        assert!(rejected::<DeadlinePassed>(&outcome).source.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_has_a_deadline_of_its_own_and_the_earlier_one_holds() {
    for (own, pipelines, holds) in [(2, Some(5), 2), (5, Some(2), 2), (3, None, 3)] {
        let (source, outcomes) = TestSource::of(0..3_u64);
        let (calls, begun) = (Calls::default(), Instant::now());
        let mut pipeline = Flow::from(source)
            .process(
                Processor::new("call", calls.handler(10 * SECOND, fails(0)))
                    .deadline(own * SECOND)
                    .unordered(3),
            )
            .acknowledge();
        if let Some(seconds) = pipelines {
            pipeline = pipeline.deadline(seconds * SECOND);
        }
        let report = pipeline.run().await.unwrap();
        assert_no_leaks(&report);
        assert_eq!(begun.elapsed(), holds * SECOND);
        for n in 0..3 {
            assert_eq!(calls.of(n)[0].deadline, Some(begun + holds * SECOND));
            rejected::<DeadlinePassed>(&outcomes.only(n));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_stage_ends_with_it() {
    let (source, _) = TestSource::of(0..3_u64);
    let (first, second) = (Calls::default(), Calls::default());
    let report = Flow::from(source)
        .process(
            Processor::new("first", first.handler(ms(1), fails(0)))
                .deadline(SECOND)
                .retry(every_second(2)),
        )
        .process(Processor::new("second", second.handler(ms(1), fails(0))).retry(every_second(2)))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert!(
        first
            .all()
            .iter()
            .all(|call| call.deadline == Some(call.at + SECOND))
    );
    assert!(second.all().iter().all(|call| call.deadline.is_none()));
    assert_eq!((towpath::deadline(), towpath::attempt()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn all_attempts_of_a_message_see_one_deadline_and_the_wait_does_not_move_it() {
    let (source, outcomes) = TestSource::of(0..4_u64);
    let (calls, begun) = (Calls::default(), Instant::now());
    let letter_box = Recorder::<DeadLetter>::new();
    let report = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(100), fails(usize::MAX)))
                .retry(every_second(10))
                .deadline(5 * SECOND)
                .unordered(4),
        )
        .acknowledge()
        .deadline(60 * SECOND)
        .dead_letter(letter_box.sink("letters"))
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    for n in 0..4 {
        assert_eq!(calls.of(n).len(), 5, "at 0, 1.1, 2.2, 3.3 and 4.4 s");
        let ends = Some(begun + 5 * SECOND);
        assert!(calls.of(n).iter().all(|call| call.deadline == ends));
        rejected::<DeadlinePassed>(&outcomes.only(n));
    }
    let attempts: Vec<_> = letters(&letter_box).into_iter().map(|l| l.1).collect();
    assert_eq!(attempts, [5; 4]);
    assert_eq!(begun.elapsed(), ms(4500), "the next wait would be too long");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_has_its_whole_time_again() {
    let (source, outcomes) = TestSource::new(0..1_u64).redelivering(5).build();
    let calls = Calls::default();
    let act = |_, before| match before {
        0 => Err(towpath::Failure::retry("later").after(10 * SECOND).into()),
        _ => Ok(()),
    };
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(Processor::new("call", calls.handler(ms(1), act)).retry(every_second(2)))
        .acknowledge()
        .deadline(SECOND)
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.of(0).len(), 2);
    let ends: Vec<_> = calls
        .of(0)
        .iter()
        .map(|call| call.deadline.unwrap() - begun)
        .collect();
    assert_eq!(ends, [SECOND, ms(11_001)]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_read_in_the_code_before_the_first_await_too() {
    for attempts in [1, 3] {
        let (source, outcomes) = TestSource::of(0..1_u64);
        let (calls, begun) = (Calls::default(), Instant::now());
        let seen = calls.clone();
        let handle = move |item: u64| {
            // Not in the future: while it is made.
            seen.note(item);
            async move { Err::<u64, BoxError>(format!("{item} fails").into()) }
        };
        let retry = every_second(attempts).deadline(30 * SECOND);
        let report = Flow::from(source)
            .process(Processor::new("call", handle).retry(retry))
            .acknowledge()
            .run()
            .await
            .unwrap();
        check(&report);
        let ends = Some(begun + 30 * SECOND);
        assert!(
            calls.all().iter().all(|call| call.deadline == ends),
            "{calls:?}"
        );
        assert_eq!(calls.attempts_of(0), (1..=attempts).collect::<Vec<_>>());
        if attempts > 1 {
            assert_eq!(rejected::<Exhausted>(&outcomes.only(0)).attempts, attempts);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn side_by_side_each_call_reads_its_own() {
    let (source, outcomes) = TestSource::of(0..20_u64);
    let handle = |item: u64| async move {
        let attempt = u64::from(towpath::attempt());
        for step in 0..10 {
            sleep(Duration::from_millis(1 + (item + step) % 3)).await;
            assert_eq!(u64::from(towpath::attempt()), attempt);
        }
        // Item n needs n % 4 + 1 attempts.
        if attempt <= item % 4 {
            return Err(BoxError::from("not yet"));
        }
        assert_eq!(attempt, item % 4 + 1);
        Ok(item)
    };
    let report = Flow::from(source)
        .process(
            Processor::new("call", handle)
                .retry(every_second(4))
                .unordered(7)
                .workers(2),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 20);
}
