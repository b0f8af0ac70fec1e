//! Sinks: when what they were given is settled, and who gets what when they fail.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use towpath::{
    Batch, Batcher, BoxError, Failure, Flow, Origin, Outcome, Pipeline, Processor, Report, Sink,
    SinkStage, Verdicts, Written, each, write,
};
use towpath_test::{Cue, Recorder, TestSource, check};

async fn run(pipeline: Pipeline) -> Report {
    let report = pipeline.run().await.unwrap();
    check(&report);
    report
}

/// Holds what is written until it is flushed, and fails some flushes.
#[derive(Clone, Default)]
struct Buffered {
    flushes: Arc<Mutex<Vec<(Duration, usize)>>>,
    unflushed: usize,
    begun: Option<Instant>,
    fails: Vec<usize>,
    panics: Vec<usize>,
    takes: Duration,
    flushed: Arc<Notify>,
}

const EVERY: Duration = Duration::from_millis(500);

impl Buffered {
    /// When each flush was, and how many messages had been written before it.
    fn flushes(&self) -> Vec<(Duration, usize)> {
        self.flushes.lock().unwrap().clone()
    }
}

impl Sink<u32> for Buffered {
    async fn open(&mut self) -> Result<(), BoxError> {
        self.begun = Some(Instant::now());
        Ok(())
    }

    async fn write(&mut self, batch: Batch<u32>) -> Result<Written, BoxError> {
        tokio::time::sleep(self.takes).await;
        self.unflushed += batch.len();
        Ok(Written::All)
    }

    async fn flush(&mut self) -> Result<(), BoxError> {
        let at = self.begun.map(|begun| begun.elapsed()).unwrap();
        let number = {
            let mut flushes = self.flushes.lock().unwrap();
            flushes.push((at, std::mem::take(&mut self.unflushed)));
            flushes.len() - 1
        };
        self.flushed.notify_one();
        assert!(!self.panics.contains(&number), "the flush panics on cue");
        if self.fails.contains(&number) {
            return Err("the flush fails on cue".into());
        }
        Ok(())
    }

    fn flush_every(&self) -> Option<Duration> {
        Some(EVERY)
    }
}

fn buffered(sink: &Buffered) -> SinkStage<Buffered> {
    SinkStage::of::<u32>("buffered", sink.clone())
}

#[tokio::test(start_paused = true)]
async fn what_is_durable_after_a_flush_is_settled_then_and_not_before() {
    let (source, outcomes) = TestSource::new(0..10).endless().build();
    let sink = Buffered::default();
    let running = Flow::from(source)
        .sink(buffered(&sink))
        .start()
        .await
        .unwrap();
    tokio::time::sleep(EVERY * 99 / 100).await;
    assert_eq!(outcomes.total(), 0);
    assert_eq!(running.handle().status().counts.in_flight, 10);
    outcomes.wait_for(10).await;
    assert_eq!(sink.flushes(), [(EVERY, 10)]);
    assert_eq!(outcomes.count("done"), 10);
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_fails_gives_back_what_was_written_since_the_last() {
    let arrival = Cue::new().delay_by(|n| EVERY * (2 * n / 10) + Duration::from_millis(1));
    let (source, outcomes) = TestSource::of(0..30);
    let sink = Buffered {
        fails: vec![1],
        ..Buffered::default()
    };
    let pipeline = Flow::from(source)
        .process(Processor::new("arrival", arrival.handler()).unordered(30))
        .sink(buffered(&sink));
    let report = run(pipeline).await;
    let word = |n| outcomes.only(n).word();
    let flushes = sink.flushes();
    assert_eq!(flushes.iter().map(|f| f.1).sum::<usize>(), 30);
    let (first, second) = (flushes[0].1 as u64, flushes[1].1 as u64);
    assert!((0..first).all(|n| word(n) == "done"));
    assert!((first..first + second).all(|n| word(n) == "retried"));
    assert!((first + second..30).all(|n| word(n) == "done"));
    assert_eq!(report.counts.retried, second);
    assert_eq!(report.left, second, "the source does not deliver again");
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_panics_gives_back_what_was_written_and_the_worker_lives() {
    let (source, outcomes) = TestSource::new(0..10).redelivering(3).build();
    let sink = Buffered {
        panics: vec![0],
        ..Buffered::default()
    };
    let report = run(Flow::from(source).sink(buffered(&sink))).await;
    assert_eq!(
        (outcomes.count("retried"), outcomes.count("done")),
        (10, 10)
    );
    assert_eq!(sink.flushes().len(), 2);
    assert_eq!(
        report.stages.iter().map(|s| s.counts.restarts).sum::<u64>(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_written_is_flushed_at_once_when_the_pipeline_drains() {
    let (source, outcomes) = TestSource::of(0..10);
    let sink = Buffered::default();
    run(Flow::from(source).sink(buffered(&sink))).await;
    assert_eq!(sink.flushes(), [(Duration::ZERO, 10)]);
    assert_eq!(outcomes.count("done"), 10);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_always_busy_is_flushed_on_time_too() {
    let (source, _) = TestSource::of(0..1_000);
    let sink = Buffered {
        takes: Duration::from_millis(100),
        ..Buffered::default()
    };
    run(Flow::from(source).sink(buffered(&sink)).max_demand(10)).await;
    let flushes = sink.flushes();
    assert!(flushes.len() > 10, "{flushes:?}");
    let late = EVERY + 2 * sink.takes;
    let mut due = late;
    for (at, _) in flushes {
        assert!(at <= due, "{at:?} is later than {due:?}");
        due = at + late;
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_flush_is_within_the_bound() {
    let (source, _) = TestSource::of(0..30_000);
    let sink = Buffered::default();
    let report = run(Flow::from(source).sink(buffered(&sink)).max_demand(8)).await;
    assert_eq!(report.counts.done, 30_000);
    assert!(report.counts.high_water >= 10_000, "{report}");
}

#[tokio::test(start_paused = true)]
async fn several_workers_write_at_once_and_each_message_once() {
    let (source, outcomes) = TestSource::of(0..400);
    let recorder = Recorder::new().delay(Duration::from_millis(10));
    let batcher = Batcher::new("batch").max_messages(10);
    let pipeline = Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink").workers(4));
    let begun = Instant::now();
    run(pipeline).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(100));
    assert_eq!(recorder.max_running(), 4);
    let mut items = recorder.items();
    items.sort_unstable();
    assert_eq!(items, (0..400).collect::<Vec<_>>());
    assert_eq!(outcomes.count("done"), 400);
}

#[tokio::test(start_paused = true)]
async fn a_hung_worker_of_a_sink_holds_its_own_batch_only() {
    let (source, outcomes) = TestSource::of(0..1_000);
    let recorder = Recorder::new().hang_on_batch(0);
    let batcher = Batcher::new("batch").max_messages(10);
    let pipeline = Flow::from(source)
        .batch(batcher)
        .sink(recorder.sink("sink").workers(2));
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for(990).await;
    recorder.release();
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_settled_after_its_side_effects_and_never_before() {
    let (source, outcomes) = TestSource::new(0..3).chunk(1).build();
    let (log, seen) = (Arc::new(Mutex::new(Vec::new())), outcomes.clone());
    let effects = log.clone();
    let sink = each("effect", move |n: u64| {
        let (effects, seen) = (effects.clone(), seen.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            effects.lock().unwrap().push((n, seen.of(n).len()));
            Ok::<_, BoxError>(())
        }
    });
    run(Flow::from(source).sink(sink)).await;
    assert_eq!(*log.lock().unwrap(), [(0, 0), (1, 0), (2, 0)]);
    assert_eq!(outcomes.count("done"), 3);
}

#[tokio::test(start_paused = true)]
async fn messages_of_mixed_fate_each_get_their_own_outcome() {
    let (source, outcomes) = TestSource::of(0..5_u32);
    let handler = Cue::new().retry_when(|n| *n == 1).panic_when(|n| *n == 4);
    let sink = write("sink", |batch: Batch<u32>| async move {
        let mut verdicts = Verdicts::done();
        for (place, n) in batch.items().iter().enumerate() {
            verdicts = match n {
                0 => verdicts.reject(place, "never"),
                3 => verdicts.fail(place, Failure::drop("unwanted")),
                _ => verdicts,
            };
        }
        Ok::<_, BoxError>(verdicts)
    });
    let pipeline = Flow::from(source)
        .process(Processor::new("handler", handler.handler()).ordered(4))
        .batch(Batcher::new("batch"))
        .sink(sink);
    let report = run(pipeline).await;
    let words: Vec<_> = (0..5).map(|n| outcomes.only(n).word()).collect();
    assert_eq!(
        words,
        ["rejected", "retried", "done", "dropped", "rejected"]
    );
    assert_eq!(report.dropped.values().sum::<u64>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_a_whole_batch_says_what_becomes_of_its_messages() {
    let (source, outcomes) = TestSource::of(0..4);
    let busy = |_: Batch<i32>| async move {
        let failure = Failure::retry("busy").after(Duration::from_secs(3));
        Err::<(), _>(failure)
    };
    run(Flow::from(source).sink(write("busy", busy))).await;
    for n in 0..4 {
        let Outcome::Retry { after, .. } = outcomes.only(n) else {
            panic!("message {n} is not given back");
        };
        assert_eq!(after, Duration::from_secs(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_hook_may_change_the_outcome_of_each_message() {
    let (source, outcomes) = TestSource::of(0..4_u32);
    let recorder = Recorder::new().fail_when(|n| n % 2 == 0);
    let hook = |outcome, origin: &towpath::Origin| match origin.position {
        Some(position) if position.offset == 2 => Outcome::Drop("known".into()),
        _ => outcome,
    };
    run(Flow::from(source).sink(recorder.sink("sink").on_failure(hook))).await;
    let words: Vec<_> = (0..4).map(|n| outcomes.only(n).word()).collect();
    assert_eq!(words, ["rejected", "done", "dropped", "done"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_its_branch_does_not_wait_for_the_next_message() {
    for budget in [u64::MAX, 3] {
        let (source, outcomes) = TestSource::new(0..54).endless().build();
        let slow = Recorder::new().delay(Duration::from_millis(10));
        let to_slow = slow.sink("slow");
        let pipeline = Flow::from(source).route(
            "parity",
            |n| n % 2,
            |branches| {
                branches
                    .to(0, |even| {
                        even.batch(Batcher::new("one").max_messages(1))
                            .sink(to_slow)
                    })
                    .to(1, Flow::acknowledge)
            },
        );
        let running = pipeline.max_demand(1).budget(budget).start().await.unwrap();
        let told = tokio::time::timeout(EVERY, outcomes.wait_for(54)).await;
        assert!(
            told.is_ok(),
            "{:?} while the source has nothing more",
            running.handle().status()
        );
        running.handle().drain();
        check(&running.join().await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_hung_branch_of_a_source_that_is_idle_holds_the_other_branch_no_more() {
    let (source, outcomes) = TestSource::new(0..60).endless().build();
    let (hung, slow) = (
        Recorder::new().hang_on_batch(0),
        Recorder::new().delay(Duration::from_millis(10)),
    );
    let (to_hung, to_slow) = (hung.sink("hung"), slow.sink("slow"));
    let pipeline = Flow::from(source).route(
        "parity",
        |n| n % 2,
        |branches| {
            branches
                .to(0, |even| even.sink(to_hung))
                .to(1, |odd| odd.sink(to_slow))
        },
    );
    let running = pipeline.max_demand(1).start().await.unwrap();
    outcomes.wait_for(30).await;
    assert!(outcomes.words().iter().all(|(n, _)| n % 2 == 1));
    hung.release();
    outcomes.wait_for(60).await;
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_sink_may_take_something_else_than_it_writes() {
    let (source, outcomes) = TestSource::of(0..4);
    let recorder = Recorder::new().fail_when(|text: &String| text == "n 2");
    let place = |origin: &Origin| origin.position.map(|position| position.offset);
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let places = seen.clone();
    let hook = move |outcome: Outcome, origin: &Origin| {
        places.lock().unwrap().push(place(origin));
        outcome
    };
    let texts = towpath::mapped(recorder.raw_sink(), |n: u64| format!("n {n}"));
    let sink = SinkStage::of("texts", texts).on_failure(hook);
    run(Flow::from(source).sink(sink)).await;
    assert_eq!(recorder.items(), ["n 0", "n 1", "n 3"]);
    assert_eq!(outcomes.only(2).word(), "rejected");
    assert_eq!(*seen.lock().unwrap(), [Some(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_message_is_turned_into_another_rejects_its_batch() {
    let (source, outcomes) = TestSource::of(0..2);
    let recorder = Recorder::<u64>::new();
    let sink = towpath::mapped(recorder.raw_sink(), |n: u64| {
        assert!(n != 1, "unlucky");
        n
    });
    run(Flow::from(source).sink(SinkStage::of("sink", sink))).await;
    assert_eq!(outcomes.count("rejected"), 2);
    assert!(recorder.items().is_empty());
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_message_are_told_apart_and_have_the_same_identities_when_they_come_again() {
    let (source, _) = TestSource::new(0..2_u64).redelivering(5).build();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let identities = seen.clone();
    let sink = write("sink", move |batch: Batch<u64>| {
        let identity = |place| batch.origin(place)?.identity.clone();
        let all = (0..batch.len()).map(|place| identity(place).unwrap().to_string());
        let mut seen = identities.lock().unwrap();
        seen.extend(all);
        let again = seen.len() <= 4;
        async move {
            if again {
                return Err::<(), BoxError>(Failure::retry("again").into());
            }
            Ok(())
        }
    });
    let report = run(Flow::from(source)
        .flat_map(|n| [n, n])
        .batch(Batcher::new("all").max_messages(4))
        .sink(sink))
    .await;
    assert_eq!(report.counts.done, 2);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    let twice = ["test-0#0", "test-0#1", "test-1#0", "test-1#1"].map(|identity| [identity; 2]);
    assert_eq!(seen, twice.concat());
}
