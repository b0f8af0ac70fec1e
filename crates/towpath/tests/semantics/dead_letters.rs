//! The dead-letter route: what a letter says, and what happens while nobody can take it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use towpath::{
    Batch, Batcher, BoxError, DeadLetter, Flow, Pipeline, Processor, Report, Sink, SinkStage,
    Verdicts, Written, core::SinkPromise,
};
use towpath_test::{Cue, Recorder, TestSource, check};

const HOUR: Duration = Duration::from_secs(3600);

async fn run(pipeline: Pipeline) -> Report {
    let report = pipeline.run().await.unwrap();
    check(&report);
    report
}

/// Writes letters while it is up.
#[derive(Clone)]
struct Letters {
    up: watch::Sender<bool>,
    written: Arc<Mutex<Vec<DeadLetter>>>,
    tries: Arc<AtomicUsize>,
    panics: bool,
}

impl Letters {
    fn new(up: bool) -> Self {
        Self {
            up: watch::Sender::new(up),
            written: Arc::default(),
            tries: Arc::default(),
            panics: false,
        }
    }

    fn sink(&self) -> SinkStage<Self> {
        SinkStage::new("letters", self.clone(), SinkPromise::Plain)
    }

    fn written(&self) -> Vec<DeadLetter> {
        self.written.lock().unwrap().clone()
    }

    /// The places of the messages in their source, sorted.
    fn places(&self) -> Vec<u64> {
        let letters = self.written().into_iter();
        let mut places: Vec<_> = letters.map(|l| l.origin.position.unwrap().offset).collect();
        places.sort_unstable();
        places
    }
}

impl Sink<DeadLetter> for Letters {
    async fn write(&mut self, batch: Batch<DeadLetter>) -> Result<Written, BoxError> {
        self.tries.fetch_add(1, SeqCst);
        let up = *self.up.borrow();
        assert!(up || !self.panics, "the letter box panics");
        if !up {
            return Err("the letter box is away".into());
        }
        self.written.lock().unwrap().extend(batch);
        Ok(Written::All)
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_has_the_cause_the_stage_the_attempts_and_the_original_payload() {
    let source = TestSource::new(0..3_u32).redelivering(5).keep_original();
    let (source, outcomes) = source.build();
    let seen = Arc::new(AtomicUsize::new(0));
    let handler = move |n: String| {
        let late = n == "n1" && seen.fetch_add(1, SeqCst) < 2;
        async move {
            match (n.as_str(), late) {
                ("n1", true) => Err(towpath::Failure::retry("not yet").into()),
                ("n1", false) => Err("never".into()),
                _ => Ok::<_, BoxError>(n),
            }
        }
    };
    let letters = Letters::new(true);
    let pipeline = Flow::from(source)
        .map(|n| format!("n{n}"))
        .process(Processor::new("judge", handler))
        .acknowledge()
        .named("court")
        .dead_letter(letters.sink());
    run(pipeline).await;
    let written = letters.written();
    assert_eq!(written.len(), 1);
    let letter = &written[0];
    assert_eq!(letter.pipeline.as_str(), "court");
    assert_eq!(letter.cause.stage().as_str(), "judge");
    assert_eq!(letter.cause.chain(), ["never"]);
    assert_eq!(letter.origin.attempt, 3);
    assert_eq!(
        letter
            .origin
            .identity
            .as_ref()
            .map(towpath::Identity::as_str),
        Some("test-1")
    );
    let original = letter
        .original
        .as_ref()
        .and_then(|o| o.downcast_ref::<u32>());
    assert_eq!(original, Some(&1));
    assert_eq!(
        outcomes.of(1).last().map(towpath::Outcome::word),
        Some("rejected")
    );
}

#[tokio::test(start_paused = true)]
async fn a_letter_from_a_sink_and_from_an_operator_has_the_original_too() {
    let (source, _) = TestSource::new(0..4_u32).keep_original().build();
    let recorder = Recorder::new().fail_when(|n: &u64| *n == 20);
    let letters = Letters::new(true);
    let pipeline = Flow::from(source)
        .try_map(|n| match n {
            1 => Err("one"),
            n => Ok(u64::from(n) * 10),
        })
        .batch(Batcher::new("batch"))
        .sink(recorder.sink("sink"))
        .dead_letter(letters.sink());
    run(pipeline).await;
    let mut told: Vec<_> = letters
        .written()
        .iter()
        .map(|l| {
            (
                l.cause.stage().to_string(),
                *l.original.as_ref().unwrap().downcast_ref::<u32>().unwrap(),
            )
        })
        .collect();
    told.sort();
    assert_eq!(told, [("sink".to_owned(), 2), ("try_map".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_cannot_be_decoded_becomes_one_letter_with_its_raw_form() {
    let (source, outcomes) = TestSource::of(["1", "two", "3"]);
    let letters = Letters::new(true);
    let recorder = Recorder::new();
    let pipeline = Flow::from(source)
        .decode(|raw: &&str| raw.parse::<u8>())
        .sink(recorder.sink("sink"))
        .dead_letter(letters.sink());
    run(pipeline).await;
    let written = letters.written();
    assert_eq!(written.len(), 1);
    let raw = written[0]
        .original
        .as_ref()
        .and_then(|o| o.downcast_ref::<&str>());
    assert_eq!(raw, Some(&"two"));
    assert_eq!(recorder.items(), [1, 3]);
    assert_eq!(outcomes.only(1).word(), "rejected");
}

#[tokio::test(start_paused = true)]
async fn a_poison_message_is_called_once_and_becomes_one_letter() {
    let (source, outcomes) = TestSource::new(0..1_000_u32).redelivering(10).build();
    let handler = Cue::new().fail_when(|n| *n == 13).panic_when(|n| *n == 14);
    let letters = Letters::new(true);
    let pipeline = Flow::from(source)
        .process(Processor::new("handler", handler.handler()))
        .acknowledge()
        .dead_letter(letters.sink());
    run(pipeline).await;
    assert_eq!((handler.calls_of(&13), handler.calls_of(&14)), (1, 1));
    assert_eq!(letters.places(), [13, 14]);
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (998, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn all_messages_of_a_batch_that_panicked_become_letters() {
    let (source, outcomes) = TestSource::of(0..100_u32);
    let recorder = Recorder::new().panic_on_batch(0);
    let letters = Letters::new(true);
    let pipeline = Flow::from(source)
        .batch(Batcher::new("batch").max_messages(50))
        .sink(recorder.sink("sink"))
        .dead_letter(letters.sink());
    run(pipeline).await;
    assert_eq!(letters.places(), (0..50).collect::<Vec<_>>());
    assert_eq!(
        (outcomes.count("done"), outcomes.count("rejected")),
        (50, 50)
    );
}

#[tokio::test(start_paused = true)]
async fn while_no_letter_can_be_written_nothing_is_settled_and_the_source_waits() {
    let (source, outcomes) = TestSource::of(0..100_000_u32);
    let handler = Cue::new().fail_when(|_| true);
    let letters = Letters::new(false);
    let pipeline = Flow::from(source)
        .process(Processor::new("handler", handler.handler()).workers(2))
        .acknowledge()
        .max_demand(8)
        .dead_letter(letters.sink());
    let running = pipeline.start().await.unwrap();
    tokio::time::sleep(HOUR).await;
    let status = running.handle().status();
    assert_eq!(
        outcomes.total(),
        0,
        "a message was settled without its letter"
    );
    assert!(status.counts.emitted <= status.bound, "{status:?}");
    assert!(status.bound < 500, "{}", status.bound);
    let tries = letters.tries.load(SeqCst);
    assert!((100..1_000).contains(&tries), "{tries} tries in an hour");
    letters.up.send_replace(true);
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(outcomes.count("rejected"), 100_000);
    assert_eq!(letters.places(), (0..100_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_is_settled_when_its_letter_is_written_and_not_before() {
    let (source, outcomes) = TestSource::of(0..2_u32);
    let recorder = Recorder::new().fail_when(|n| *n == 0);
    let letters = Letters::new(false);
    let pipeline = Flow::from(source)
        .sink(recorder.sink("sink"))
        .dead_letter(letters.sink());
    let running = pipeline.start().await.unwrap();
    outcomes.wait_for(1).await;
    tokio::time::sleep(HOUR).await;
    assert_eq!(outcomes.words(), [(1, "done")]);
    letters.up.send_replace(true);
    let begun = Instant::now();
    outcomes.wait_for(2).await;
    assert!(
        begun.elapsed() <= Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.only(0).word(), "rejected");
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_no_letter_can_be_written_gives_the_messages_back() {
    let (source, outcomes) = TestSource::new(0..10_u32).endless().build();
    let handler = Cue::new().fail_when(|n| *n < 5);
    let letters = Letters::new(false);
    let pipeline = Flow::from(source)
        .process(Processor::new("handler", handler.handler()))
        .acknowledge()
        .dead_letter(letters.sink());
    let running = pipeline.start().await.unwrap();
    handler.wait_for_ends(10).await;
    running.handle().drain_within(Duration::from_secs(10));
    let begun = Instant::now();
    let report = running.join().await.unwrap();
    check(&report);
    assert!(
        begun.elapsed() <= Duration::from_secs(11),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!((outcomes.count("done"), outcomes.count("retried")), (5, 5));
    assert_eq!(report.counts.abandoned, 5);
    assert!(letters.written().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_letter_box_that_panics_is_tried_again() {
    let (source, outcomes) = TestSource::of(0..3_u32);
    let recorder = Recorder::new().fail_when(|_| true);
    let letters = Letters {
        panics: true,
        ..Letters::new(false)
    };
    let pipeline = Flow::from(source)
        .sink(recorder.sink("sink"))
        .dead_letter(letters.sink());
    let running = pipeline.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(outcomes.total(), 0);
    letters.up.send_replace(true);
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(letters.places(), [0, 1, 2]);
    assert_eq!(
        report.stages.iter().map(|s| s.counts.restarts).sum::<u64>(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_letters_that_were_refused_are_written_again() {
    let (source, outcomes) = TestSource::of(0..10_u32);
    let recorder = Recorder::new().fail_when(|_| true);
    let batches = Arc::new(Mutex::new(Vec::new()));
    let seen = batches.clone();
    let refuse_once = towpath::write("letters", move |batch: Batch<DeadLetter>| {
        let places: Vec<_> = batch
            .items()
            .iter()
            .map(|l| l.origin.position.unwrap().offset)
            .collect();
        let first = seen.lock().unwrap().is_empty();
        seen.lock().unwrap().push(places);
        async move {
            let verdicts = Verdicts::done();
            Ok::<_, BoxError>(if first {
                verdicts.reject(3, "no stamp")
            } else {
                verdicts
            })
        }
    });
    run(Flow::from(source)
        .sink(recorder.sink("sink"))
        .dead_letter(refuse_once))
    .await;
    assert_eq!(*batches.lock().unwrap(), [(0..10).collect(), vec![3]]);
    assert_eq!(outcomes.count("rejected"), 10);
}

#[tokio::test(start_paused = true)]
async fn without_a_route_a_rejected_message_is_settled_with_its_cause() {
    let (source, outcomes) = TestSource::of(0..3_u32);
    let recorder = Recorder::new().fail_when(|n| *n == 1);
    let report = run(Flow::from(source).sink(recorder.sink("sink"))).await;
    assert_eq!(outcomes.only(1).word(), "rejected");
    assert_eq!(report.causes, [["the sink fails on cue"]]);
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_or_given_back_becomes_no_letter() {
    let (source, outcomes) = TestSource::of(0..4_u32);
    let handler = Cue::new().drop_when(|n| *n == 1).retry_when(|n| *n == 2);
    let letters = Letters::new(true);
    let pipeline = Flow::from(source)
        .filter("zero", |n| *n > 0)
        .process(Processor::new("handler", handler.handler()))
        .acknowledge()
        .dead_letter(letters.sink());
    run(pipeline).await;
    assert!(letters.written().is_empty());
    let words: Vec<_> = (0..4).map(|n| outcomes.only(n).word()).collect();
    assert_eq!(words, ["dropped", "dropped", "retried", "done"]);
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_one_line_of_json() {
    let (source, _) = TestSource::new(0..1_u32).keep_original().build();
    let recorder = Recorder::new().fail_when(|_: &u32| true);
    let letters = Letters::new(true);
    let pipeline = Flow::from(source)
        .sink(recorder.sink("sink"))
        .named("one letter")
        .dead_letter(letters.sink());
    run(pipeline).await;
    let line = serde_json::to_value(&letters.written()[0]).unwrap();
    assert_eq!(line["pipeline"], "one letter");
    assert_eq!(line["stage"], "sink");
    assert_eq!(line["cause"], serde_json::json!(["the sink fails on cue"]));
    assert_eq!(line["original"], 0);
    assert_eq!(line["identity"], "test-0");
    assert_eq!(line["attempts"], 1);
}

#[tokio::test(start_paused = true)]
async fn the_letter_of_a_message_that_was_never_started_waits_for_no_other_message() {
    let (source, outcomes) = TestSource::new(0..1_u32).endless().build();
    let letters = Letters::new(true);
    let pipeline = Flow::from(source)
        .process(Processor::new("by key", Cue::new().handler()).by_key(4, |n| assert!(*n > 0)))
        .acknowledge()
        .dead_letter(letters.sink());
    let running = pipeline.start().await.unwrap();
    let told = tokio::time::timeout(HOUR, outcomes.wait_for(1)).await;
    assert!(told.is_ok(), "{:?}", running.handle().status());
    running.handle().drain();
    check(&running.join().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_letters_of_a_chunk_that_panicked_wait_for_no_other_message() {
    let (source, outcomes) = TestSource::new(0..3_u32).endless().build();
    let letters = Letters::new(true);
    let panics = |chunk: Vec<u32>| {
        assert!(chunk.is_empty(), "no chunk is liked");
        async { Ok(Vec::<Result<u32, BoxError>>::new()) }
    };
    let pipeline = Flow::from(source)
        .process(Processor::chunk("chunk", panics))
        .acknowledge()
        .dead_letter(letters.sink());
    let running = pipeline.start().await.unwrap();
    let told = tokio::time::timeout(HOUR, outcomes.wait_for(3)).await;
    assert!(told.is_ok(), "{:?}", running.handle().status());
    running.handle().drain();
    check(&running.join().await.unwrap());
    assert_eq!(letters.places(), [0, 1, 2]);
}
