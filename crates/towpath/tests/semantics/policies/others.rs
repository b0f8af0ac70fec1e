//! Dedup, fallback and hedge on a stage, and the order of them all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod given_back;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};
use towpath::{
    BoxError, CircuitBreaker, Deadline, Dedup, Fallback, Flow, Hedge, Jitter, Outcome, Pipeline,
    Processor, RateLimit, Retry,
    policy::{FallbackFailed, find, service_fn},
};
use towpath_test::{Cue, Recorder, TestSource, check};

use super::limiting::{SECOND, ms};

fn retry(attempts: u32) -> Retry {
    Retry::fixed(ms(100))
        .jitter(Jitter::None)
        .attempts(attempts)
        .budget(1.0)
        .budget_at_least(1000)
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_for_messages_whose_attempts_have_all_failed() {
    let (source, outcomes) = TestSource::of(0..20_u32);
    let (cue, recorder) = (Cue::new().fail_when(|n| n % 5 == 3), Recorder::new());
    let report = Flow::from(source)
        .process(
            Processor::new("price", cue.handler())
                .fallback(Fallback::value(1000))
                .retry(retry(3)),
        )
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 20);
    let items = recorder.items();
    assert_eq!(items.iter().filter(|item| **item == 1000).count(), 4);
    assert_eq!(cue.calls_of(&3), 3, "it is asked for last");
    assert_eq!(cue.calls(), 16 + 4 * 3);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_may_be_another_service_and_what_it_fails_too_is_rejected_with_both_errors() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let first = Cue::new().fail_when(|_| true);
    let second = |n: u32| async move {
        if n == 7 {
            return Err(BoxError::from("the second is down too"));
        }
        Ok(n + 100)
    };
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(
            Processor::new("price", first.handler())
                .fallback(Fallback::service(service_fn(second))),
        )
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!((outcomes.count("done"), recorder.items().len()), (9, 9));
    assert!(recorder.items().iter().all(|n| *n >= 100));
    let Outcome::Reject(cause) = outcomes.only(7) else {
        panic!("not rejected");
    };
    let failed = find::<FallbackFailed>(cause.error()).expect("both have failed");
    assert_eq!(failed.failure.to_string(), "the second is down too");
    assert!(
        cause
            .chain()
            .contains(&"the handler fails on cue".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_while_the_breaker_rejects_and_the_service_is_left_alone() {
    let (source, outcomes) = TestSource::of(0..200_u32);
    let cue = Cue::new().fail_when(|_| true);
    let breaker = CircuitBreaker::failure_rate(0.5)
        .min_calls(10)
        .open_for(SECOND * 60)
        .rejecting();
    let report = Flow::from(source)
        .process(
            Processor::new("price", cue.handler())
                .circuit_breaker(breaker)
                .fallback(Fallback::value(0))
                .unordered(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!((outcomes.count("done"), cue.calls()), (200, 10));
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_what_was_to_be_tried_again_though_there_is_a_fallback() {
    let (source, outcomes) = TestSource::new(0..5_u32).endless().build();
    let cue = Cue::new().fail_when(|_| true);
    let patient = Retry::fixed(SECOND * 3600).jitter(Jitter::None).budget(1.0);
    let running = Flow::from(source)
        .process(
            Processor::new("price", cue.handler())
                .fallback(Fallback::value(0))
                .retry(patient),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    cue.wait_for_ends(5).await;
    running.handle().drain();
    check(&running.join().await.unwrap());
    assert_eq!((outcomes.count("retried"), cue.calls()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_has_decided_about_its_message_gets_no_other_answer() {
    let (source, outcomes) = TestSource::of(0..9_u32);
    let cue = Cue::new()
        .drop_when(|n| n % 3 == 1)
        .retry_when(|n| n % 3 == 2);
    let report = Flow::from(source)
        .process(Processor::new("price", cue.handler()).fallback(Fallback::value(0)))
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let words = ["done", "dropped", "retried"].map(|word| outcomes.count(word));
    assert_eq!(words, [3, 3, 3]);
}

/// Answers at once, but the first call of each message that `slow` picks takes a second.
fn slow_at_first(
    slow: fn(u32) -> bool,
    calls: &Arc<AtomicUsize>,
) -> impl Fn(u32) -> super::limiting::Handled<u32> + Clone + Send + Sync + use<> {
    let (calls, seen) = (calls.clone(), Arc::new(Mutex::new(Vec::new())));
    move |n| {
        let (calls, seen) = (calls.clone(), seen.clone());
        Box::pin(async move {
            calls.fetch_add(1, SeqCst);
            let is_first = {
                let mut seen = seen.lock().expect("nobody panics here");
                let is_first = !seen.contains(&n);
                seen.push(n);
                is_first
            };
            let takes = if is_first && slow(n) { SECOND } else { ms(1) };
            sleep(takes).await;
            Ok(n)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_asks_again_beside_a_slow_call_and_one_answer_is_handed_on() {
    let (source, outcomes) = TestSource::of(0..100_u32);
    let (calls, recorder) = (Arc::<AtomicUsize>::default(), Recorder::new());
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(
            Processor::new("read", slow_at_first(|n| n % 20 == 0, &calls))
                .hedge(Hedge::after(ms(10)).budget(0.1))
                .unordered(1),
        )
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();
    check(&report);
    assert!(outcomes.count("done") == 100 && recorder.items().len() == 100);
    assert_eq!(calls.load(SeqCst), 105);
    let took = begun.elapsed();
    assert!(
        took < ms(95 + 5 * 11 + 20),
        "{took:?}: nobody waits for the slow ones"
    );
}

#[tokio::test(start_paused = true)]
async fn both_calls_of_a_hedge_pay_the_limit() {
    let (source, _) = TestSource::of(0..20_u32);
    let calls = Arc::<AtomicUsize>::default();
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(
            Processor::new("read", slow_at_first(|_| true, &calls))
                .rate_limit(RateLimit::per_second(10).burst(1))
                .hedge(Hedge::after(ms(50)).budget(1.0))
                .unordered(4),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let calls = calls.load(SeqCst);
    assert!(calls > 25, "{calls}");
    assert!(begun.elapsed() >= ms(100) * u32::try_from(calls - 1).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_key_that_was_done_is_dropped_as_a_duplicate() {
    let items = [1_u64, 2, 1, 3, 2, 1, 4];
    let (source, outcomes) = TestSource::of(items);
    let cue = Cue::new();
    let report = Flow::from(source)
        .process(
            Processor::new("ship", cue.handler())
                .dedup(Dedup::by_key(|n: &u64| *n))
                .unordered(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(cue.starts(), [1, 2, 3, 4]);
    let dropped =
        |n| matches!(outcomes.only(n), Outcome::Drop(reason) if reason.as_str() == "duplicate");
    assert!([2, 4, 5].into_iter().all(dropped));
    assert_eq!((outcomes.count("done"), report.counts.dropped), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_of_a_message_in_flight_waits_for_it_and_takes_its_place_if_it_fails() {
    // The first of each key fails; of the four of a key one more is called, and no other.
    let (source, outcomes) = TestSource::of((0..40_u64).map(|n| (n % 10, n)));
    let cue = Cue::new()
        .delay(ms(10))
        .fail_when(|(_, n): &(u64, u64)| *n < 10);
    let report = Flow::from(source)
        .process(
            Processor::new("ship", cue.handler())
                .dedup(Dedup::by_key(|m: &(u64, u64)| m.0))
                .unordered(16)
                .workers(2),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(cue.calls(), 20);
    let words = ["rejected", "done", "dropped"].map(|word| outcomes.count(word));
    assert_eq!(words, [10, 10, 20]);
}

#[tokio::test(start_paused = true)]
async fn duplicates_that_wait_hold_no_slot_and_no_more_calls_run_than_may() {
    // One key hangs with nine duplicates; the other messages go on, two at a time.
    let same = (0..10_u64).map(|n| (0, n));
    let others = (1..=50).map(|key| (key, 0));
    let (source, outcomes) = TestSource::of(same.chain(others));
    let cue = Cue::new().hang_when(|m: &(u64, u64)| m.0 == 0).delay(ms(1));
    let running = Flow::from(source)
        .process(
            Processor::new("ship", cue.handler())
                .dedup(Dedup::by_key(|m: &(u64, u64)| m.0))
                .unordered(2)
                .workers(1),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    outcomes.wait_for(50).await;
    assert_eq!((outcomes.count("done"), cue.max_running()), (50, 2));
    cue.release();
    check(&running.join().await.unwrap());
    assert_eq!((outcomes.count("done"), outcomes.count("dropped")), (51, 9));
}

/// Ships these keys, each no sooner than at its time; when each was shipped.
async fn shipped(
    items: &[(u64, Duration)],
    dedup: Dedup,
    limit: RateLimit,
) -> Vec<(u64, Duration)> {
    let (source, outcomes) = TestSource::of(items.to_vec());
    let (begun, shipped) = (Instant::now(), Arc::new(Mutex::new(Vec::new())));
    let noted = shipped.clone();
    let pace = move |message: (u64, Duration)| async move {
        sleep(message.1.saturating_sub(begun.elapsed())).await;
        Ok::<_, BoxError>(message)
    };
    let ship = move |message: (u64, Duration)| {
        let mut noted = noted.lock().expect("nobody panics here");
        noted.push((message.0, begun.elapsed()));
        std::future::ready(Ok::<_, BoxError>(message))
    };
    let report = Flow::from(source)
        .process(Processor::new("pace", pace).ordered(1))
        .process(
            Processor::new("ship", ship)
                .rate_limit(limit)
                .dedup(dedup.keyed(|m: &(u64, Duration)| m.0))
                .ordered(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let shipped = shipped.lock().unwrap().clone();
    assert_eq!(outcomes.count("done"), shipped.len());
    assert_eq!(outcomes.count("dropped"), items.len() - shipped.len());
    shipped
}

fn dedup(json: &str) -> Dedup {
    serde_json::from_str(json).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_forgotten_when_its_time_to_live_is_over() {
    let items = [0, 100, 900, 1100, 1200, 2200].map(|at| (7, ms(at)));
    let free = RateLimit::per_second(1000);
    let shipped = shipped(&items, dedup(r#"{ "ttl": "1s" }"#), free).await;
    assert_eq!(shipped, [(7, ms(0)), (7, ms(1100)), (7, ms(2200))]);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_spends_no_budget_of_the_limit() {
    let items = [(7, ms(0)), (7, ms(100)), (7, ms(1100)), (8, ms(1200))];
    let limit = RateLimit::per_second(1).burst(1);
    let shipped = shipped(&items, dedup("{}"), limit).await;
    assert_eq!(shipped, [(7, ms(0)), (8, ms(1200))]);
}

/// A stage with every policy there is, asked for in an order of its own.
macro_rules! staged {
    ($($call:ident $argument:expr),*) => {
        Flow::from(TestSource::of(0..3_u64).0)
            .process(Processor::new("call", Cue::new().handler())$(.$call($argument))*)
            .acknowledge()
    };
}

#[tokio::test(start_paused = true)]
async fn the_order_around_a_service_does_not_depend_on_the_order_of_the_calls() {
    let dedup = || Dedup::by_key(|n: &u64| *n);
    let limit = || RateLimit::per_second(5);
    let breaker = || CircuitBreaker::failure_rate(0.5);
    let hedge = || Hedge::after(SECOND);
    let fallback = || Fallback::value(7_u64);
    let deadline = || Deadline::after(SECOND * 9);
    let attempt = || SECOND * 2;
    let built: Vec<Pipeline> = vec![
        staged!(deadline deadline(), dedup dedup(), fallback fallback(), hedge hedge(),
            retry retry(3), circuit_breaker breaker(), rate_limit limit(), timeout attempt()),
        staged!(timeout attempt(), rate_limit limit(), circuit_breaker breaker(),
            retry retry(3), hedge hedge(), fallback fallback(), dedup dedup(), deadline deadline()),
        staged!(rate_limit limit(), fallback fallback(), timeout attempt(), dedup dedup(),
            retry retry(3), deadline deadline(), circuit_breaker breaker(), hedge hedge()),
        staged!(hedge hedge(), retry retry(3), dedup dedup(), rate_limit limit(),
            deadline deadline(), timeout attempt(), fallback fallback(), circuit_breaker breaker()),
        staged!(circuit_breaker breaker(), deadline deadline(), rate_limit limit(),
            hedge hedge(), timeout attempt(), fallback fallback(), retry retry(3), dedup dedup()),
    ];
    let notes = |pipeline: &Pipeline| pipeline.topology().stages()[1].notes[1..].to_vec();
    let expected = notes(&built[0]);
    let words: Vec<_> = expected[0].split(" > ").collect();
    let places = [
        "9s",
        "dedup",
        "fallback",
        "hedge",
        "attempts",
        "breaker",
        "rate limit",
        "2s",
    ];
    assert_eq!(words.len(), places.len(), "{words:?}");
    for (note, place) in words.iter().zip(places) {
        assert!(
            note.contains(place),
            "{note} is not {place} in {expected:?}"
        );
    }
    for pipeline in &built {
        assert_eq!(notes(pipeline), expected);
    }
    for pipeline in built {
        let report = pipeline.run().await.unwrap();
        check(&report);
        assert_eq!(report.counts.done, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_ends_an_attempt_and_a_deadline_all_of_them_whatever_was_said_first() {
    for swapped in [false, true] {
        let (source, outcomes) = TestSource::of(0..1_u64);
        let cue = Cue::new().hang_when(|_| true);
        let (attempt, all) = (Duration::from_secs(1), Deadline::after(ms(2500)));
        let stage = Processor::new("call", cue.handler());
        let stage = if swapped {
            stage.deadline(all).timeout(attempt).retry(retry(9))
        } else {
            stage.retry(retry(9)).timeout(attempt).deadline(all)
        };
        let begun = Instant::now();
        let report = Flow::from(source)
            .process(stage)
            .acknowledge()
            .run()
            .await
            .unwrap();
        check(&report);
        assert_eq!((cue.calls(), outcomes.only(0).word()), (3, "rejected"));
        assert_eq!(begun.elapsed(), ms(2500));
    }
}
