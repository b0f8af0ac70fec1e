//! One count of attempts: in the handler, over deliveries, in letters and at the source.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use towpath::{
    BoxError, Call, CircuitBreaker, DeadLetter, Failure, Flow, ForcedBreaker, Outcome, Processor,
    Source,
    producer::{IterSource, Redeliver},
};
use towpath_test::{Recorder, TestSource, assert_no_leaks, check};

use super::{Calls, SECOND, every_second, fails, letters, ms};

/// Two attempts fail in place, the third gives the message back; the ninth succeeds.
fn by_threes(_: u64, before: usize) -> Result<(), BoxError> {
    match before {
        8.. => Ok(()),
        2 | 5 => Err(Failure::retry("later").into()),
        _ => Err("not yet".into()),
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_in_place_and_deliveries_are_one_count() {
    let (source, outcomes) = TestSource::new(0..2_u64).redelivering(20).build();
    let (calls, origins) = (Calls::default(), Arc::new(Mutex::new(Vec::new())));
    let (handle, seen) = (calls.handler(ms(1), by_threes), origins.clone());
    let handle = move |call: Call<u64>| {
        let at = (call.payload, call.origin.attempt);
        seen.lock().unwrap().push(at);
        handle(call.payload)
    };
    let report = Flow::from(source)
        .process(Processor::with_context("call", handle).retry(every_second(5)))
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    for n in 0..2 {
        assert_eq!(calls.attempts_of(n), (1..=9).collect::<Vec<_>>());
        // The origin is that of the delivery.
        let origins = origins.lock().unwrap();
        let of: Vec<_> = origins.iter().filter(|(item, _)| *item == n).collect();
        let known: Vec<_> = of.iter().map(|(_, attempt)| *attempt).collect();
        assert_eq!(known, [1, 1, 1, 4, 4, 4, 7, 7, 7]);
        let told = outcomes.of(n);
        let given_back = |outcome: &Outcome| matches!(outcome, Outcome::Retry { attempts: 3, .. });
        assert!(told[..2].iter().all(given_back), "{told:?}");
        assert!(told[2].is_done(), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_later_stage_and_the_letter_go_on_counting() {
    let (source, _) = TestSource::of(0..3_u64);
    let (first, second) = (Calls::default(), Calls::default());
    let letter_box = Recorder::<DeadLetter>::new();
    let report = Flow::from(source)
        .process(Processor::new("first", first.handler(ms(1), fails(2))).retry(every_second(3)))
        .process(
            Processor::new("second", second.handler(ms(1), fails(usize::MAX)))
                .retry(every_second(2)),
        )
        .acknowledge()
        .dead_letter(letter_box.sink("letters"))
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    for n in 0..3 {
        assert_eq!(first.attempts_of(n), [1, 2, 3]);
        assert_eq!(second.attempts_of(n), [3, 4], "the third attempt got there");
    }
    let attempts: Vec<_> = letters(&letter_box).into_iter().map(|l| l.1).collect();
    assert_eq!(attempts, [4; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_delivers_again_in_this_process_counts_what_was_tried_in_place() {
    let calls = Calls::default();
    let letter_box = Recorder::<DeadLetter>::new();
    let twice = |_, before| match before % 3 {
        2 => Err(Failure::retry("later").into()),
        _ => Err(BoxError::from("not yet")),
    };
    let numbers = Redeliver::new(IterSource::new(0..4_u64));
    let given_up = numbers.given_up();
    let report = Flow::from(Source::new("numbers", numbers))
        .process(
            Processor::new("call", calls.handler(ms(1), twice))
                .retry(every_second(5))
                .unordered(4),
        )
        .acknowledge()
        .dead_letter(letter_box.sink("letters"))
        .run()
        .await
        .unwrap();
    assert_no_leaks(&report);
    // Five attempts: it comes as the first, as the fourth, and not as the seventh.
    for n in 0..4 {
        assert_eq!(calls.attempts_of(n), [1, 2, 3, 4, 5, 6]);
    }
    assert_eq!(given_up.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_breaker_excuses_is_not_counted_anywhere() {
    let (source, outcomes) = TestSource::new(0..1_u64).endless().build();
    let calls = Calls::default();
    let breaker = CircuitBreaker::failure_rate(0.1)
        .min_calls(1)
        .open_for(10 * SECOND);
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(1), fails(usize::MAX)))
                .circuit_breaker(breaker)
                .retry(every_second(2)),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    // The only message there is: each probe is an attempt at it.
    while calls.len() < 10 {
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(calls.attempts_of(0)[..10], [1; 10]);
    running.handle().stop(SECOND).await;
    assert_no_leaks(&running.join().await.unwrap());
    let outcome = outcomes.only(0);
    assert!(
        matches!(outcome, Outcome::Retry { attempts: 1, .. }),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_refused_here_is_none() {
    let (source, outcomes) = TestSource::of(0..1_u64);
    let calls = Calls::default();
    let running = Flow::from(source)
        .process(
            Processor::new("call", calls.handler(ms(1), fails(1)))
                .circuit_breaker(CircuitBreaker::failure_rate(0.9).min_calls(100).rejecting())
                .retry(every_second(10)),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    let handle = running.handle().clone();
    handle.force_breaker("call", ForcedBreaker::Open).unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(calls.len(), 0);
    handle.force_breaker("call", ForcedBreaker::Closed).unwrap();
    check(&running.join().await.unwrap());
    assert!(outcomes.only(0).is_done());
    assert_eq!(calls.attempts_of(0), [1, 2]);
}
