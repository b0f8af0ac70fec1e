//! What becomes of a message in a processor: success, failure, panic, and the hook in between.

mod chunks;
mod decoding;
mod hooks;
mod parts;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use towpath::{
    Batcher, BoxError, Call, DeadLetter, Failure, Flow, Outcome, Processor,
    core::{Panicked, find},
};
use towpath_test::{Cue, Recorder, TestSource, check};

/// The chain of a rejection, outermost first.
#[track_caller]
fn rejected(outcome: &Outcome) -> (String, Vec<String>) {
    match outcome {
        Outcome::Reject(cause) => (cause.stage().to_string(), cause.chain()),
        other => panic!("not rejected: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_succeeds_is_done_once_its_batch_is_written() {
    let (source, outcomes) = TestSource::of(0..7_u32);
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(Processor::new("handle", Cue::new().handler()))
        .batch(Batcher::new("collect").max_messages(7))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(report.counts.done, 7);
    assert_eq!(outcomes.count("done"), 7);
    assert_eq!(recorder.batches().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_not_acknowledged_before_its_batch_is_written() {
    let (source, outcomes) = TestSource::of(0..3_u32);
    let recorder = Recorder::new().hang_on_batch(0);
    let running = Flow::from(source)
        .process(Processor::new("handle", Cue::new().handler()))
        .batch(Batcher::new("collect").max_messages(3))
        .sink(recorder.sink("write"))
        .start()
        .await
        .unwrap();

    recorder.wait_for_batches(1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(outcomes.total(), 0);
    recorder.release();
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_fails_is_rejected_with_its_reason_and_goes_no_further() {
    let (source, outcomes) = TestSource::of(0..3_u32);
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(Processor::new("judge", |n: u32| async move {
            match n {
                1 => Err(BoxError::from("one is too many")),
                n => Ok(n),
            }
        }))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    let (stage, chain) = rejected(&outcomes.only(1));
    assert_eq!(
        (stage.as_str(), chain),
        ("judge", vec!["one is too many".to_owned()])
    );
    assert_eq!(recorder.items(), [0, 2]);
    assert_eq!((report.counts.done, report.counts.rejected), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_may_give_its_message_back_or_leave_it_out() {
    let (source, outcomes) = TestSource::of(0..3_u32);
    let report = Flow::from(source)
        .process(Processor::new("judge", |n: u32| async move {
            match n {
                0 => Err(Failure::retry("busy").after(Duration::from_secs(9))),
                1 => Err(Failure::drop("not wanted")),
                n => Ok(n),
            }
        }))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let nine = Duration::from_secs(9);
    assert!(matches!(outcomes.only(0), Outcome::Retry { after, .. } if after == nine));
    assert!(matches!(outcomes.only(1), Outcome::Drop(r) if r.as_str() == "not wanted"));
    assert_eq!(report.dropped[&"not wanted".into()], 1);
    assert_eq!(report.counts.done, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_one_message_and_the_worker_handles_its_127_mates() {
    let (source, outcomes) = TestSource::of(0..128_u32);
    let cue = Cue::new().panic_when(|n| *n == 64);
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).workers(1))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!((report.counts.done, report.counts.rejected), (127, 1));
    let Outcome::Reject(cause) = outcomes.only(64) else {
        panic!("not rejected");
    };
    let panicked = find::<Panicked>(cause.error()).expect("the cause is the panic");
    assert_eq!(panicked.message(), "the handler panics on cue");
    assert_eq!(cue.calls(), 128);
    let stage = &report.stages[0].counts;
    assert_eq!((stage.panicked, stage.restarts), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_future_exists_fails_one_message() {
    let (source, outcomes) = TestSource::of(0..20_u32);
    let handle = |n: u32| {
        assert_ne!(n, 3, "three");
        async move { Ok::<_, BoxError>(n) }
    };
    let report = Flow::from(source)
        .process(Processor::new("handle", handle).workers(1))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!((report.counts.done, report.counts.rejected), (19, 1));
    assert_eq!(outcomes.only(3).word(), "rejected");
    assert_eq!(report.stages[0].counts.restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn every_message_may_panic_and_every_one_is_told() {
    let (source, outcomes) = TestSource::of(0..500_u32);
    let cue = Cue::new()
        .delay_by(|n| Duration::from_millis(u64::from(n % 3)))
        .panic_when(|_| true);
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()).unordered(8))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(outcomes.count("rejected"), 500);
    assert_eq!(report.stages[0].counts.panicked, 500);
    assert_eq!(report.stages[0].counts.restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_task_that_the_handler_awaits_fails_its_message() {
    let (source, outcomes) = TestSource::of(0..4_u32);
    let handle = |n: u32| async move {
        let mut helper = JoinSet::new();
        helper.spawn(async move {
            assert_ne!(n, 2, "the helper");
            n
        });
        helper.join_next().await.expect("one was spawned")
    };
    let report = Flow::from(source)
        .process(Processor::new("handle", handle))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let (_, chain) = rejected(&outcomes.only(2));
    assert!(chain[0].contains("panicked"), "{chain:?}");
    assert_eq!((report.counts.done, report.counts.rejected), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_poisonous_message_is_one_dead_letter_after_one_call() {
    let (source, outcomes) = TestSource::new(0..50_u32).keep_original().build();
    let cue = Cue::new().fail_when(|n| *n == 13);
    let letters = Recorder::<DeadLetter>::new();
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()))
        .acknowledge()
        .dead_letter(letters.sink("letters"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(cue.calls_of(&13), 1);
    assert_eq!(cue.calls(), 50);
    let letters = letters.items();
    assert_eq!(letters.len(), 1);
    let original = letters[0].original.as_ref().expect("kept");
    assert_eq!(original.downcast_ref::<u32>(), Some(&13));
    assert_eq!(letters[0].origin.position.map(|p| p.offset), Some(13));
    assert_eq!(letters[0].origin.attempt, 1);
    assert_eq!(letters[0].cause.stage().as_str(), "handle");
    assert_eq!(outcomes.only(13).word(), "rejected");
}

#[tokio::test(start_paused = true)]
async fn without_a_batcher_the_processor_settles_successes_and_failures() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let cue = Cue::new().fail_when(|n| n % 2 == 1);
    let pipeline = Flow::from(source)
        .process(Processor::new("handle", cue.handler()))
        .acknowledge();
    let kinds: Vec<_> = pipeline
        .topology()
        .stages()
        .iter()
        .map(|s| s.kind)
        .collect();
    assert_eq!(kinds, ["source", "processor", "end"]);

    check(&pipeline.run().await.unwrap());
    for n in 0..10 {
        let word = if n % 2 == 1 { "rejected" } else { "done" };
        assert_eq!(outcomes.only(n).word(), word);
    }
}

#[tokio::test(start_paused = true)]
async fn one_worker_begins_messages_in_the_order_of_their_arrival() {
    let (source, _) = TestSource::new(0..300_u32).chunk(7).build();
    let cue = Cue::new().delay_by(|n| Duration::from_millis(u64::from(n * 7 % 5)));
    let report = Flow::from(source)
        .process(
            Processor::new("handle", cue.handler())
                .workers(1)
                .unordered(4),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!(cue.starts(), (0..300).collect::<Vec<_>>());
    assert_eq!(cue.max_running(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_spread_over_all_slots_at_default_settings() {
    let (source, _) = TestSource::of(0..10_u32);
    let cue = Cue::new().delay(Duration::from_millis(50));
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(Processor::new("handle", cue.handler()))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let took = begun.elapsed();
    assert!(took <= Duration::from_millis(60), "{took:?}");
    assert_eq!(cue.max_running(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_spread_over_workers_of_one_slot_each() {
    let (source, _) = TestSource::of(0..8_u32);
    let cue = Cue::new().delay(Duration::from_millis(50));
    let begun = Instant::now();
    let report = Flow::from(source)
        .process(
            Processor::new("handle", cue.handler())
                .unordered(8)
                .workers(8),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let took = begun.elapsed();
    assert!(took <= Duration::from_millis(60), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hung_message_delays_the_outcome_of_nobody_else() {
    let (source, outcomes) = TestSource::of(0..512_u32);
    let cue = Cue::new()
        .delay(Duration::from_millis(1))
        .hang_when(|n| *n == 0);
    let running = Flow::from(source)
        .process(
            Processor::new("handle", cue.handler())
                .unordered(16)
                .workers(1),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();

    outcomes.wait_for(511).await;
    assert!(outcomes.of(0).is_empty());
    cue.release();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.done, 512);
}

#[tokio::test(start_paused = true)]
async fn the_handler_sees_where_its_message_came_from() {
    let (source, _) = TestSource::of(["a", "b"]);
    let recorder = Recorder::new();
    let handle = |call: Call<&'static str>| async move {
        let at = call.origin.position.map_or(u64::MAX, |p| p.offset);
        let identity = call.origin.identity.clone().map(|i| i.to_string());
        Ok::<_, BoxError>((*call, at, identity, call.origin.attempt))
    };
    let report = Flow::from(source)
        .process(Processor::with_context("handle", handle).ordered(2))
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    let expected = [
        ("a", 0, Some("test-0".to_owned()), 1),
        ("b", 1, Some("test-1".to_owned()), 1),
    ];
    assert_eq!(recorder.items(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_leaves_out_is_counted_by_its_reason() {
    let (source, outcomes) = TestSource::of(0..100_u32);
    let report = Flow::from(source)
        .filter("odd", |n| n % 2 == 0)
        .filter_map("large", |n| (n < 50).then_some(n))
        .process(Processor::filter_map(
            "handle",
            "divisible",
            |n: u32| async move { Ok::<_, BoxError>((!n.is_multiple_of(10)).then_some(n)) },
        ))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let dropped: Vec<_> = report
        .dropped
        .iter()
        .map(|(r, n)| (r.as_str(), *n))
        .collect();
    assert_eq!(dropped, [("divisible", 5), ("large", 25), ("odd", 50)]);
    assert_eq!(report.counts.done, 20);
    assert_eq!(outcomes.count("dropped"), 80);
    assert_eq!(report.stages[0].counts.failed, 0);
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_fails_or_panics_over_is_one_message_and_not_the_source() {
    let (source, outcomes) = TestSource::new(0..200_u32).chunk(50).build();
    let recorder = Recorder::new();
    let report = Flow::from(source)
        .map(|n| {
            assert_ne!(n, 77, "map");
            n + 1
        })
        .try_map(|n| match n {
            100 => Err(BoxError::from("a hundred")),
            n => Ok(n),
        })
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    assert_eq!((report.counts.done, report.counts.rejected), (198, 2));
    assert_eq!(rejected(&outcomes.only(77)).0, "map, try_map");
    assert_eq!(rejected(&outcomes.only(99)).1, ["a hundred"]);
    assert_eq!(recorder.items().len(), 198);
}

#[tokio::test(start_paused = true)]
async fn a_transformation_holds_for_every_source_and_every_delivery() {
    let (first, told) = TestSource::new([1_u32, 2])
        .named("first")
        .redelivering(2)
        .build();
    let (second, _) = TestSource::new([3_u32, 4]).named("second").build();
    let recorder = Recorder::new().retry_when({
        let tries = Arc::new(AtomicUsize::new(0));
        move |n| *n == 10 && tries.fetch_add(1, SeqCst) == 0
    });
    let report = Flow::from(first)
        .merge(Flow::from(second))
        .map(|n| n * 10)
        .sink(recorder.sink("write"))
        .run()
        .await
        .unwrap();

    check(&report);
    let mut items = recorder.items();
    items.sort_unstable();
    assert_eq!(items, [10, 20, 30, 40]);
    assert_eq!(
        told.of(0).iter().map(Outcome::word).collect::<Vec<_>>(),
        ["retried", "done"]
    );
}

#[tokio::test(start_paused = true)]
async fn blocking_work_holds_up_neither_the_runtime_nor_other_stages() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let work = move |n: u32| {
        if n == 0 {
            wait.lock().unwrap().recv()?;
        }
        Ok::<_, std::sync::mpsc::RecvError>(n)
    };
    let running = Flow::from(source)
        .process(Processor::blocking("work", work).unordered(2))
        .acknowledge()
        .start()
        .await
        .unwrap();

    outcomes.wait_for(9).await;
    assert!(outcomes.of(0).is_empty());
    go.send(()).unwrap();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.done, 10);
}

#[tokio::test(start_paused = true)]
async fn a_panic_on_the_blocking_pool_fails_its_message() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let work = |n: u32| {
        assert_ne!(n, 4, "on the pool");
        Ok::<_, BoxError>(n)
    };
    let report = Flow::from(source)
        .process(Processor::blocking("work", work))
        .acknowledge()
        .run()
        .await
        .unwrap();

    check(&report);
    let (_, chain) = rejected(&outcomes.only(4));
    assert!(chain[0].contains("panicked"), "{chain:?}");
    assert_eq!((report.counts.done, report.counts.rejected), (9, 1));
}
