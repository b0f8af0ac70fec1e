//! Telling the source: once per message, early, with options, and when the source is away.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;
use towpath::{
    Batcher, BoxError, Event, EventKind, Flow, Outcome, Pipeline, Processor, Report, SettleOptions,
};
use towpath_test::{Cue, Recorder, TestSource, check};

const HOUR: Duration = Duration::from_secs(3600);

async fn run(pipeline: Pipeline) -> Report {
    let report = pipeline.run().await.unwrap();
    check(&report);
    report
}

#[tokio::test(start_paused = true)]
async fn each_message_is_settled_once_and_in_order_where_the_stages_keep_it() {
    let (source, outcomes) = TestSource::of(0..1_000_u64);
    let handler = Cue::new().delay_by(|n| Duration::from_millis(1 + n % 7));
    let recorder = Recorder::new().fail_when(|n| n % 10 == 3);
    let pipeline = Flow::from(source)
        .process(Processor::new("handler", handler.handler()).ordered(16))
        .batch(Batcher::new("batch").max_messages(50))
        .sink(recorder.sink("sink"));
    run(pipeline).await;
    let of = |word| {
        let words = outcomes.words().into_iter();
        words
            .filter(|w| w.1 == word)
            .map(|w| w.0)
            .collect::<Vec<_>>()
    };
    let (bad, good): (Vec<_>, Vec<_>) = (0..1_000).partition(|n| n % 10 == 3);
    assert_eq!(of("done"), good);
    assert_eq!(of("rejected"), bad);
    assert_eq!(outcomes.total(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn the_source_is_told_in_runs_and_not_message_by_message() {
    let (source, outcomes) = TestSource::of(0..1_000);
    let recorder = Recorder::new();
    let batcher = Batcher::new("batch").max_messages(100);
    run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    assert_eq!(outcomes.total(), 1_000);
    assert!(
        outcomes.settle_calls() <= 20,
        "{} calls",
        outcomes.settle_calls()
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_be_told_is_told_again_with_backoff() {
    let (source, outcomes) = TestSource::new(0..10).settle_fails(3).build();
    let begun = Instant::now();
    let report = run(Flow::from(source).acknowledge()).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(10 + 20 + 40));
    assert_eq!(outcomes.count("done"), 10);
    let settled = report.sources[0].settled;
    assert_eq!((settled.confirmed, settled.failed), (10, 0));
    assert_eq!(report.exit_code(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_panics_when_it_is_told_is_told_again() {
    let (source, outcomes) = TestSource::new(0..10).settle_panics(2).build();
    let report = run(Flow::from(source).acknowledge()).await;
    assert_eq!(outcomes.count("done"), 10);
    assert_eq!(report.sources[0].settled.confirmed, 10);
    assert_eq!(outcomes.settle_calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_could_never_be_told_are_counted_reported_and_stop_nobody() {
    // Eight attempts for the first run of outcomes; those after it are told.
    let (source, outcomes) = TestSource::new(0..20).chunk(10).settle_fails(8).build();
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let pipeline = Flow::from(source)
        .acknowledge()
        .budget(10)
        .observer(move |event: &Event| {
            if let EventKind::SettleFailed { error, count } = &event.kind {
                seen.lock().unwrap().push((error.clone(), *count));
            }
        });
    let report = run(pipeline).await;
    let settled = report.sources[0].settled;
    assert_eq!(settled.confirmed + settled.failed, 20);
    assert!(settled.failed > 0, "{settled:?}");
    assert_eq!(outcomes.total() as u64, settled.confirmed);
    let told = events.lock().unwrap().clone();
    let expected = (
        "settle fails on cue".to_owned(),
        usize::try_from(settled.failed).unwrap(),
    );
    assert_eq!(told, [expected]);
    assert_eq!(
        report.exit_code(),
        1,
        "what the source does not know comes again"
    );
}

#[tokio::test(start_paused = true)]
async fn workers_go_on_while_the_source_cannot_be_told() {
    let (source, _) = TestSource::new(0..1_000).settle_fails(6).build();
    let recorder = Recorder::new();
    let running = Flow::from(source)
        .sink(recorder.sink("sink"))
        .start()
        .await
        .unwrap();
    let begun = Instant::now();
    recorder.wait_for(1_000).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_message_acknowledged_early_is_settled_there_and_not_again_at_the_end() {
    let (source, outcomes) = TestSource::of(0..4_u64);
    let recorder = Recorder::new().hang_on_batch(0).fail_when(|n| *n == 2);
    let pipeline = Flow::from(source)
        .acknowledge_now(|n| n % 2 == 0)
        .sink(recorder.sink("sink"));
    let running = pipeline.start().await.unwrap();
    recorder.wait_for_batches(1).await;
    outcomes.wait_for(2).await;
    assert_eq!(outcomes.words(), [(0, "done"), (2, "done")]);
    recorder.release();
    let report = running.join().await.unwrap();
    check(&report);
    let words: Vec<_> = (0..4).map(|n| outcomes.only(n).word()).collect();
    assert_eq!(words, ["done"; 4]);
    assert_eq!(recorder.items(), [0, 1, 3]);
    assert_eq!(report.counts.rejected, 0, "its outcome was known already");
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_acknowledges_early_promises_less() {
    let (source, _) = TestSource::new(0..4)
        .claims(towpath::core::Redelivery::Durable)
        .build();
    let pipeline = Flow::from(source).acknowledge_now(|_| true).acknowledge();
    let (promised, reasons) = pipeline.delivery_guarantee();
    assert_eq!(promised, towpath::Guarantee::AtMostOnce);
    assert!(reasons[0].contains("acknowledge_now"), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn a_settle_option_reaches_the_source_with_its_message() {
    let (source, outcomes) = TestSource::new(0..3_u64).knows_option("on_failure").build();
    let pipeline = Flow::from(source)
        .configure_ack(|n| (*n == 1).then(|| SettleOptions::default().set("on_failure", "park")))
        .acknowledge();
    run(pipeline).await;
    assert!(outcomes.options_of(0).is_empty() && outcomes.options_of(2).is_empty());
    let options = outcomes.options_of(1);
    assert_eq!(options.len(), 1);
    assert_eq!(options[0].get("on_failure"), Some("park"));
    assert_eq!(outcomes.count("done"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_settle_option_that_the_source_does_not_know_rejects_its_message_only() {
    let (source, outcomes) = TestSource::new(0..3_u64).knows_option("on_failure").build();
    let recorder = Recorder::new();
    let pipeline = Flow::from(source)
        .configure_ack(|n| (*n == 1).then(|| SettleOptions::default().set("colour", "red")))
        .sink(recorder.sink("sink"));
    run(pipeline).await;
    let Outcome::Reject(cause) = outcomes.only(1) else {
        panic!("the message is not rejected");
    };
    assert!(cause.error().to_string().contains("colour"), "{cause:?}");
    assert_eq!(recorder.items(), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_mate_holds_nobody_else_up() {
    let (source, outcomes) = TestSource::of(0..512_u64);
    let service = Duration::from_millis(50);
    let handler = Cue::new().delay(service).hang_when(|n| *n == 200);
    let pipeline = Flow::from(source)
        .process(Processor::new("handler", handler.handler()).unordered(512))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    let begun = Instant::now();
    outcomes.wait_for(511).await;
    assert_eq!(begun.elapsed(), service);
    assert!(outcomes.of(200).is_empty());
    handler.release();
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 512);
}

#[tokio::test(start_paused = true)]
async fn a_hung_message_in_a_chunk_delays_the_outcome_of_no_finished_one() {
    let (source, outcomes) = TestSource::new(0..64_u64).chunk(64).build();
    let handler = Cue::new().hang_when(|n| *n == 0);
    let pipeline = Flow::from(source)
        .process(Processor::new("handler", handler.handler()).unordered(2))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for(63).await;
    running.handle().drain_within(Duration::ZERO);
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.only(0).word(), "retried");
}

#[tokio::test(start_paused = true)]
async fn behind_one_slow_message_an_ordered_stage_reads_no_more_than_the_bound_ahead() {
    let (source, outcomes) = TestSource::of(0..1_000_000_u64);
    let handler = Cue::new().hang_when(|n| *n == 0);
    let recorder = Recorder::new();
    let pipeline = Flow::from(source)
        .process(Processor::new("handler", handler.handler()).ordered(4))
        .batch(Batcher::new("batch").max_messages(16))
        .sink(recorder.sink("sink"))
        .max_demand(16);
    let running = pipeline.start().await.unwrap();
    handler.wait_for(1).await;
    // Paused time moves when nobody can do anything more.
    tokio::time::sleep(HOUR).await;
    let status = running.handle().status();
    assert!(status.counts.emitted <= status.bound, "{status:?}");
    assert!(status.bound < 300, "{}", status.bound);
    assert_eq!((handler.calls() <= 20, outcomes.total()), (true, 0));
    handler.release();
    recorder.wait_for(10_000).await;
    running.handle().drain();
    check(&running.join().await.unwrap());
    let items = recorder.items();
    assert!(items.is_sorted() && items[0] == 0, "the order was lost");
}

#[tokio::test(start_paused = true)]
async fn behind_one_slow_batch_no_more_is_read_than_the_bound() {
    let (source, outcomes) = TestSource::of(0..1_000_000_u64);
    let recorder = Recorder::new().hang_on_batch(1);
    let pipeline = Flow::from(source)
        .batch(Batcher::new("batch").max_messages(16))
        .sink(recorder.sink("sink"))
        .max_demand(16);
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for(16).await;
    tokio::time::sleep(HOUR).await;
    let status = running.handle().status();
    assert!(status.counts.emitted <= 16 + status.bound, "{status:?}");
    assert!(status.bound < 200, "{}", status.bound);
    recorder.release();
    recorder.wait_for(1_000).await;
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_cannot_be_told_hold_the_source_back() {
    let (source, outcomes) = TestSource::new(0..1_000_000_u64).settle_hangs().build();
    let source = source.max_outstanding(100.try_into().unwrap());
    let running = Flow::from(source)
        .acknowledge()
        .max_demand(10)
        .start()
        .await
        .unwrap();
    outcomes.wait_for_demands(2).await;
    tokio::time::sleep(HOUR).await;
    let taken = running.handle().status().counts.emitted;
    assert!((100..=110).contains(&taken), "{taken}");
    running.handle().drain_within(Duration::ZERO);
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.sources[0].settled.confirmed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_became_several_is_done_when_all_of_them_are() {
    let (source, outcomes) = TestSource::of([10_u64, 20]);
    let handler = Cue::new().hang_when(|n| *n == 12).fail_when(|n| *n == 20);
    let pipeline = Flow::from(source)
        .flat_map(|n| [n, n + 1, n + 2])
        .process(Processor::new("handler", handler.handler()).unordered(8))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    handler.wait_for_ends(5).await;
    outcomes.wait_for(1).await;
    assert_eq!(outcomes.words(), [(1, "rejected")]);
    handler.release();
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.only(0).word(), "done");
}

#[tokio::test(start_paused = true)]
async fn a_failure_names_its_stage_and_keeps_the_chain_of_causes() {
    let (source, outcomes) = TestSource::of([1_u64]);
    let pipeline = Flow::from(source)
        .process(Processor::new("parse", |_: u64| async move {
            Err::<(), BoxError>(Box::new("x".parse::<u8>().unwrap_err()))
        }))
        .acknowledge();
    run(pipeline).await;
    let Outcome::Reject(cause) = outcomes.only(0) else {
        panic!("the message is not rejected");
    };
    assert_eq!(cause.stage().as_str(), "parse");
    assert_eq!(cause.chain(), ["invalid digit found in string"]);
}

#[tokio::test(start_paused = true)]
async fn two_branches_may_end_alike() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let pipeline = Flow::from(source).route(
        "parity",
        |n| n % 2,
        |branches| branches.to(0, Flow::acknowledge).to(1, Flow::acknowledge),
    );
    run(pipeline).await;
    assert_eq!(outcomes.count("done"), 10);
}
