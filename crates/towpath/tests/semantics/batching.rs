//! When a batch closes, what it says about itself, and what becomes of its messages.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;

use std::time::Duration;

use tokio::time::Instant;
use towpath::{
    Batch, Batcher, BoxError, Close, Counts, Flow, Headers, Origin, Outcome, Pipeline, Processor,
    Report, Source, Trigger, Verdicts,
    core::{Delivery, Intake, Producer, Received, Redelivery, Unacknowledged},
    write,
};
use towpath_test::{Cue, Outcomes, Recorder, TestSource, check};

const HOUR: Duration = Duration::from_secs(3600);

async fn run(pipeline: Pipeline) -> Report {
    let report = pipeline.run().await.unwrap();
    check(&report);
    report
}

/// A batcher that closes on what the test is about, and on nothing else.
fn patient() -> Batcher {
    Batcher::new("batch").max_messages(10_000).max_wait(HOUR)
}

fn triggers<T: Clone + Send + 'static>(recorder: &Recorder<T>) -> Vec<(Vec<T>, Trigger)> {
    let batches = recorder.batches().into_iter();
    batches.map(|(items, info)| (items, info.trigger)).collect()
}

fn words(outcomes: &Outcomes, count: u64) -> Vec<&'static str> {
    (0..count).map(|n| outcomes.only(n).word()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_closes_when_it_holds_as_many_messages_as_it_may() {
    let (source, outcomes) = TestSource::of(0..10);
    let recorder = Recorder::new();
    let batcher = patient().max_messages(4);
    run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    let expected = [
        (vec![0, 1, 2, 3], Trigger::Count),
        (vec![4, 5, 6, 7], Trigger::Count),
        (vec![8, 9], Trigger::Drain),
    ];
    assert_eq!(triggers(&recorder), expected);
    assert_eq!(outcomes.count("done"), 10);
}

#[tokio::test(start_paused = true)]
async fn each_batcher_has_a_size_of_its_own() {
    let (source, _) = TestSource::of(0..12);
    let (twos, threes) = (Recorder::new(), Recorder::new());
    let (to_twos, to_threes) = (twos.sink("twos"), threes.sink("threes"));
    let pipeline = Flow::from(source).route(
        "parity",
        |n| n % 2,
        |branches| {
            branches
                .to(0, |even| {
                    even.batch(Batcher::new("by two").max_messages(2))
                        .sink(to_twos)
                })
                .to(1, |odd| {
                    odd.batch(Batcher::new("by three").max_messages(3))
                        .sink(to_threes)
                })
        },
    );
    run(pipeline).await;
    assert_eq!(
        twos.batches().iter().map(|b| b.0.len()).collect::<Vec<_>>(),
        [2, 2, 2]
    );
    assert_eq!(
        threes
            .batches()
            .iter()
            .map(|b| b.0.len())
            .collect::<Vec<_>>(),
        [3, 3]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_batch_goes_when_its_time_is_up() {
    let (source, outcomes) = TestSource::new(0..3).endless().build();
    let recorder = Recorder::new();
    let batcher = patient().max_wait(Duration::from_millis(200));
    let begun = Instant::now();
    let pipeline = Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink"));
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for(3).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(200));
    assert_eq!(triggers(&recorder), [(vec![0, 1, 2], Trigger::Age)]);
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_batch_counts_from_its_first_message_and_is_never_reset() {
    let (source, _) = TestSource::of(0..6);
    let arrival = Cue::new().delay_by(|n: &u32| Duration::from_millis(1 + u64::from(*n) * 60));
    let recorder = Recorder::new();
    let batcher = patient().max_wait(Duration::from_millis(200));
    let pipeline = Flow::from(source)
        .process(Processor::new("arrival", arrival.handler()).unordered(6))
        .batch(batcher)
        .sink(recorder.sink("sink"));
    let begun = Instant::now();
    let running = pipeline.start().await.unwrap();
    recorder.wait_for_batches(1).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(201));
    check(&running.join().await.unwrap());
    assert_eq!(recorder.batches()[0].0, [0, 1, 2, 3]);
    assert_eq!(recorder.batches()[1].0, [4, 5]);
}

#[tokio::test(start_paused = true)]
async fn messages_of_different_keys_never_share_a_batch_and_each_key_counts_for_itself() {
    let (source, _) = TestSource::of(["a1", "b1", "a2", "b2", "a3", "c1"]);
    let recorder = Recorder::new();
    let batcher = patient()
        .max_messages(3)
        .key(|item: &&str| item.as_bytes()[0]);
    run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    let mut closed = triggers(&recorder);
    assert_eq!(closed.remove(0), (vec!["a1", "a2", "a3"], Trigger::Count));
    closed.sort_by_key(|(items, _)| items[0]);
    let rest = [
        (vec!["b1", "b2"], Trigger::Drain),
        (vec!["c1"], Trigger::Drain),
    ];
    assert_eq!(closed, rest);
}

#[tokio::test(start_paused = true)]
async fn a_batch_closes_before_the_message_that_would_make_it_too_heavy() {
    let (source, _) = TestSource::of([60_u64, 30, 90, 10]);
    let recorder = Recorder::new();
    let batcher = patient().max_weight(100, |weight: &u64| *weight);
    run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    let expected = [
        (vec![60, 30], Trigger::Weight),
        (vec![90, 10], Trigger::Drain),
    ];
    assert_eq!(triggers(&recorder), expected);
}

#[tokio::test(start_paused = true)]
async fn a_message_too_heavy_for_any_batch_goes_alone_and_wedges_nothing() {
    let (source, outcomes) = TestSource::of([10_u64, 5_000, 20, 30]);
    let recorder = Recorder::new();
    let batcher = patient().max_weight(100, |weight: &u64| *weight);
    run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    let expected = [
        (vec![10], Trigger::Weight),
        (vec![5_000], Trigger::Weight),
        (vec![20, 30], Trigger::Drain),
    ];
    assert_eq!(triggers(&recorder), expected);
    assert_eq!(outcomes.count("done"), 4);
}

#[tokio::test(start_paused = true)]
async fn a_rule_of_your_own_closes_a_batch_before_it_overflows_and_starts_anew() {
    let (source, _) = TestSource::of([60_u64, 30, 90, 10, 100, 1]);
    let recorder = Recorder::new();
    let batcher = patient().close_when(0, |sum: &mut u64, weight: &u64| {
        *sum += weight;
        match *sum {
            ..100 => Close::No,
            100 => Close::After,
            _ => Close::Before,
        }
    });
    run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    let expected = [
        (vec![60, 30], Trigger::Custom),
        (vec![90, 10], Trigger::Custom),
        (vec![100], Trigger::Custom),
        (vec![1], Trigger::Drain),
    ];
    assert_eq!(triggers(&recorder), expected);
}

#[tokio::test(start_paused = true)]
async fn a_flush_mark_closes_the_batch_of_its_key_and_no_other() {
    let (source, _) = TestSource::of(["a1", "b1", "a2", "a!", "b2"]);
    let recorder = Recorder::new();
    let pipeline = Flow::from(source)
        .flush_when(|item: &&str| item.ends_with('!'))
        .batch(patient().key(|item: &&str| item.as_bytes()[0]))
        .sink(recorder.sink("sink"));
    run(pipeline).await;
    let expected = [
        (vec!["a1", "a2", "a!"], Trigger::Flush),
        (vec!["b1", "b2"], Trigger::Drain),
    ];
    assert_eq!(triggers(&recorder), expected);
}

#[tokio::test(start_paused = true)]
async fn a_batch_tells_its_batcher_key_size_weight_and_trigger() {
    let (source, _) = TestSource::of([7_u64, 9]);
    let recorder = Recorder::new();
    let batcher = Batcher::new("store")
        .max_messages(2)
        .max_weight(100, |n: &u64| *n)
        .key(|n: &u64| n % 2);
    run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    let (_, info) = recorder.batches().remove(0);
    assert_eq!(info.batcher.as_str(), "store");
    assert_eq!(
        info.key.and_then(|key| key.downcast_ref::<u64>().copied()),
        Some(1)
    );
    assert_eq!(
        (info.size, info.weight, info.trigger),
        (2, 16, Trigger::Count)
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_a_key_function_has_no_key() {
    let (source, _) = TestSource::of([1, 2]);
    let recorder = Recorder::new();
    run(Flow::from(source)
        .batch(patient())
        .sink(recorder.sink("sink")))
    .await;
    assert!(recorder.batches()[0].1.key.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_hung_sink_holds_no_more_than_the_bound_and_no_other_branch() {
    let (source, outcomes) = TestSource::of(0..100_000_u32);
    let (slow, fast) = (Recorder::new().hang_on_batch(0), Recorder::new());
    let (to_slow, to_fast) = (slow.sink("slow"), fast.sink("fast"));
    let batcher = |name: &'static str| Batcher::new(name).max_messages(10);
    let pipeline = Flow::from(source).route(
        "hot",
        |n| n % 1_000 == 0,
        |branches| {
            branches
                .to(true, |hot| hot.batch(batcher("hot batches")).sink(to_slow))
                .to(false, |rest| rest.batch(batcher("batches")).sink(to_fast))
        },
    );
    let running = pipeline.start().await.unwrap();
    // Ten of a thousand hot ones fill the batch that hangs; the others pass it by.
    fast.wait_for(9_990).await;
    let status = running.handle().status();
    assert!(status.counts.in_flight <= status.bound, "{status:?}");
    slow.release();
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 100_000);
}

#[tokio::test(start_paused = true)]
async fn with_a_hung_sink_no_more_is_taken_than_the_bound() {
    let (source, outcomes) = TestSource::of(0..1_000_000_u32);
    let recorder = Recorder::new().hang_on_batch(0);
    let pipeline = Flow::from(source)
        .process(Processor::new("pass", Cue::new().handler()).ordered(8))
        .batch(Batcher::new("batch").max_messages(50))
        .sink(recorder.sink("sink"))
        .max_demand(10);
    let running = pipeline.start().await.unwrap();
    recorder.wait_for_batches(1).await;
    // Paused time moves only when nothing else can: all that can be taken is taken then.
    tokio::time::advance(HOUR).await;
    tokio::time::sleep(HOUR).await;
    let status = running.handle().status();
    assert!(status.counts.in_flight <= status.bound, "{status:?}");
    assert!(status.bound < 500, "{}", status.bound);
    assert_eq!(outcomes.total(), 0);
    running.handle().drain_within(Duration::ZERO);
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn many_keys_keep_no_more_batches_open_than_they_may() {
    let (source, outcomes) = TestSource::of(0..20_000_u32);
    let recorder = Recorder::new();
    let batcher = patient()
        .max_messages(2)
        .max_open_keys(64)
        .key(|n: &u32| n % 10_000);
    let report = run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    let evicted = triggers(&recorder)
        .iter()
        .filter(|b| b.1 == Trigger::Evicted)
        .count();
    assert_eq!(evicted, 20_000 - 64);
    assert_eq!(outcomes.count("done"), 20_000);
    assert!(report.bound < 1_000, "{}", report.bound);
}

/// One message without a byte, and one with a megabyte of headers.
struct Odd(Vec<(Vec<u8>, Headers)>);

impl Producer for Odd {
    type Payload = Vec<u8>;
    type Acknowledger = Unacknowledged;

    async fn receive(&mut self, intake: &mut Intake<Vec<u8>, ()>) -> Result<Received, BoxError> {
        for (payload, headers) in self.0.drain(..) {
            let origin = Origin::default().headers(headers);
            intake.push(Delivery::new(payload, ()).with_origin(origin));
        }
        Ok(Received::End)
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_payload_and_huge_headers_pass_through() {
    let huge: Headers = (0..1024)
        .map(|n| (format!("header-{n}"), "x".repeat(1024)))
        .collect();
    let odd = Odd(vec![(Vec::new(), Headers::default()), (vec![1], huge)]);
    let sink = write("measure", |batch: Batch<Vec<u8>>| async move {
        let size = |i| {
            batch
                .origin(i)
                .map_or(0, |o| o.headers.iter().map(|(_, v)| v.len()).sum())
        };
        let sizes: Vec<usize> = (0..batch.len()).map(size).collect();
        assert_eq!(sizes, [0, 1 << 20]);
        assert_eq!(batch.items(), [vec![], vec![1]]);
        Ok::<_, BoxError>(())
    });
    let batcher = Batcher::new("batch").max_bytes(1 << 10);
    let report = run(Flow::from(Source::new("odd", odd))
        .batch(batcher)
        .sink(sink))
    .await;
    assert_eq!(report.counts.done, 2);
}

#[tokio::test(start_paused = true)]
async fn a_half_full_batch_is_flushed_at_once_when_the_pipeline_drains() {
    let (source, outcomes) = TestSource::new(0..37).endless().build();
    let recorder = Recorder::new();
    let pipeline = Flow::from(source)
        .batch(patient())
        .sink(recorder.sink("sink"));
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for_demands(2).await;
    let begun = Instant::now();
    running.handle().drain();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(triggers(&recorder), [((0..37).collect(), Trigger::Drain)]);
    assert_eq!(outcomes.count("done"), 37);
}

#[tokio::test(start_paused = true)]
async fn a_key_or_weight_function_that_panics_fails_one_message() {
    let (source, outcomes) = TestSource::of(0..6_u64);
    let recorder = Recorder::new();
    let batcher = patient()
        .key(|n: &u64| assert_ne!(*n, 2, "no key"))
        .max_weight(100, |n: &u64| {
            assert_ne!(*n, 4, "no weight");
            *n
        });
    run(Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    assert_eq!(recorder.items(), [0, 1, 3, 5]);
    assert_eq!(
        [outcomes.only(2).word(), outcomes.only(4).word()],
        ["rejected"; 2]
    );
}
