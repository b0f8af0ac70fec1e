//! A source that settles up to a position, at the end of a real pipeline.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use towpath::{
    Batcher, BoxError, Delivery, Flow, Origin, Outcome, Pipeline, Processor, Report, Source,
    core::{Intake, Producer, Received, Redelivery, Settlement},
    producer::cumulative::{Commit, Committer, Cumulative, CumulativeToken, Offsets},
};
use towpath_test::{Cue, Recorder, check};

async fn run(pipeline: Pipeline) -> Report {
    let report = pipeline.run().await.unwrap();
    check(&report);
    report
}

/// A log of some partitions that remembers how far each is committed, over readers.
#[derive(Clone)]
struct Log {
    length: u64,
    /// The next offset to read of each partition.
    committed: Arc<Mutex<Vec<u64>>>,
    /// What was committed, in order.
    history: Arc<Mutex<Vec<(u32, u64)>>>,
    fails: Arc<Mutex<usize>>,
    generation: Arc<Mutex<u64>>,
}

impl Log {
    fn new(partitions: usize, length: u64) -> Self {
        Self {
            length,
            committed: Arc::new(Mutex::new(vec![0; partitions])),
            history: Arc::default(),
            fails: Arc::default(),
            generation: Arc::default(),
        }
    }

    fn committed(&self) -> Vec<u64> {
        self.committed.lock().unwrap().clone()
    }

    fn history(&self) -> Vec<(u32, u64)> {
        self.history.lock().unwrap().clone()
    }

    /// Reads each partition from its last commit, as after a restart.
    fn reader(&self) -> Reader {
        let mut generation = self.generation.lock().unwrap();
        *generation += 1;
        let offsets = Offsets::default();
        for partition in 0..self.committed().len() {
            let partition = u32::try_from(partition).unwrap();
            offsets.assign(partition, *generation).unwrap();
        }
        Reader {
            next: self.committed(),
            log: self.clone(),
            offsets,
        }
    }
}

impl Committer for Log {
    async fn commit(&mut self, commits: &[Commit]) -> Result<(), BoxError> {
        let mut fails = self.fails.lock().unwrap();
        if *fails > 0 {
            *fails -= 1;
            return Err("the log is away".into());
        }
        for commit in commits {
            let committed = &mut self.committed.lock().unwrap()[commit.partition as usize];
            assert!(
                commit.offset > *committed,
                "{commit:?} goes back from {committed}"
            );
            *committed = commit.offset;
            self.history
                .lock()
                .unwrap()
                .push((commit.partition, commit.offset));
        }
        Ok(())
    }
}

struct Reader {
    log: Log,
    next: Vec<u64>,
    offsets: Offsets,
}

/// The partition and the offset.
type Place = (u32, u64);

impl Producer for Reader {
    type Payload = Place;
    type Acknowledger = Cumulative<Log>;

    async fn receive(
        &mut self,
        intake: &mut Intake<Place, CumulativeToken>,
    ) -> Result<Received, BoxError> {
        for (partition, next) in (0..).zip(&mut self.next) {
            while intake.room() > 0 && *next < self.log.length && self.offsets.room(partition) > 0 {
                let token = self.offsets.hand_out(partition, *next)?;
                let origin = Origin::default().in_partition(partition, *next);
                intake.push(Delivery::new((partition, *next), token).with_origin(origin));
                *next += 1;
            }
        }
        let over = self.next.iter().all(|next| *next == self.log.length);
        Ok(if over { Received::End } else { Received::More })
    }

    fn acknowledger(&mut self) -> Option<Cumulative<Log>> {
        Some(self.offsets.acknowledger(self.log.clone()))
    }

    fn redelivery(&self) -> Redelivery {
        Redelivery::Durable
    }

    fn settlement(&self) -> Settlement {
        Settlement::Cumulative
    }
}

fn source(log: &Log) -> Source<Reader> {
    Source::new("log", log.reader())
}

#[tokio::test(start_paused = true)]
async fn no_commit_ever_passes_the_oldest_unfinished_message() {
    let log = Log::new(2, 200);
    let done = Arc::new(Mutex::new([vec![false; 200], vec![false; 200]]));
    let (finished, spied) = (done.clone(), log.clone());
    let handler = move |(partition, offset): Place| {
        let (finished, spied) = (finished.clone(), spied.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(
                (offset * 37 + u64::from(partition)) % 101,
            ))
            .await;
            let finished = &mut finished.lock().unwrap()[partition as usize];
            let committed = spied.committed()[partition as usize];
            let below = usize::try_from(committed).unwrap();
            assert!(
                finished[..below].iter().all(|done| *done),
                "{committed} passes an unfinished one"
            );
            finished[usize::try_from(offset).unwrap()] = true;
            Ok::<_, BoxError>(())
        }
    };
    let pipeline = Flow::from(source(&log))
        .process(Processor::new("handler", handler).unordered(64))
        .acknowledge();
    let report = run(pipeline).await;
    assert_eq!(report.counts.done, 400, "{report}");
    assert_eq!(log.committed(), [200, 200]);
    let of = |partition| {
        log.history()
            .iter()
            .filter(move |h| h.0 == partition)
            .count()
    };
    assert!(of(0) > 1 && of(1) > 1, "commits did not advance meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_given_back_is_never_committed_over_and_comes_again_after_a_restart() {
    let log = Log::new(1, 100);
    let first = Recorder::new().retry_when(|place: &Place| place.1 == 40);
    let report = run(Flow::from(source(&log)).sink(first.sink("sink"))).await;
    assert_eq!((report.counts.done, report.counts.retried), (99, 1));
    assert_eq!(log.committed(), [40]);
    let second = Recorder::new();
    run(Flow::from(source(&log)).sink(second.sink("sink"))).await;
    assert_eq!(
        second.items(),
        (40..100).map(|n| (0, n)).collect::<Vec<_>>()
    );
    assert_eq!(log.committed(), [100]);
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_or_dropped_is_committed_over() {
    let log = Log::new(1, 100);
    let recorder = Recorder::new().fail_when(|place: &Place| place.1 == 99);
    let pipeline = Flow::from(source(&log))
        .filter("odd", |place| place.1 != 50)
        .sink(recorder.sink("sink"));
    let report = run(pipeline).await;
    assert_eq!((report.counts.rejected, report.counts.dropped), (1, 1));
    assert_eq!(log.committed(), [100]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_commits_what_is_done_and_leaves_the_rest_for_the_next_start() {
    let log = Log::new(1, 100);
    let handler = Cue::new().hang_when(|place: &Place| place.1 == 30);
    let pipeline = Flow::from(source(&log))
        .process(Processor::new("handler", handler.handler()).unordered(200))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    handler.wait_for_ends(99).await;
    running.handle().drain_within(Duration::from_secs(1));
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(report.counts.abandoned, 1);
    assert_eq!(log.committed(), [30]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_is_tried_again_and_nothing_is_lost() {
    let log = Log::new(1, 1_000);
    *log.fails.lock().unwrap() = 5;
    let recorder = Recorder::new();
    let batcher = Batcher::new("batch").max_messages(10);
    let report = run(Flow::from(source(&log))
        .batch(batcher)
        .sink(recorder.sink("sink")))
    .await;
    assert_eq!(log.committed(), [1_000]);
    let settled = report.sources[0].settled;
    assert_eq!(
        (settled.confirmed + settled.sent, settled.failed),
        (1_000, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn commits_that_were_given_up_are_made_up_for_by_later_ones() {
    let log = Log::new(1, 1_000);
    *log.fails.lock().unwrap() = 8;
    let recorder = Recorder::new();
    let arrival = Cue::new().delay_by(|place: &Place| Duration::from_millis(place.1 * 10));
    let pipeline = Flow::from(source(&log))
        .process(Processor::new("arrival", arrival.handler()).ordered(1_000))
        .sink(recorder.sink("sink"));
    let report = run(pipeline).await;
    assert!(report.sources[0].settled.failed > 0, "{report}");
    assert_eq!(log.committed(), [1_000]);
}

#[tokio::test(start_paused = true)]
async fn outcomes_of_a_partition_that_was_taken_away_commit_nothing() {
    let log = Log::new(2, 10);
    let reader = log.reader();
    let offsets = reader.offsets.clone();
    let handler = Cue::new().hang_when(|_: &Place| true);
    let pipeline = Flow::from(Source::new("log", reader))
        .process(Processor::new("handler", handler.handler()).unordered(64))
        .acknowledge();
    let running = pipeline.start().await.unwrap();
    handler.wait_for(20).await;
    offsets.revoke(1);
    handler.release();
    let report = running.join().await.unwrap();
    check(&report);
    assert_eq!(log.committed(), [10, 0]);
    let settled = report.sources[0].settled;
    assert_eq!((settled.confirmed, settled.stale), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_rejects_what_fails_lets_the_log_go_on() {
    let log = Log::new(1, 10);
    let recorder = Recorder::new().retry_when(|place: &Place| place.1 == 4);
    let give_up = |outcome: Outcome, _: &Origin| match outcome {
        Outcome::Retry { .. } => Outcome::Drop("given up".into()),
        outcome => outcome,
    };
    run(Flow::from(source(&log)).sink(recorder.sink("sink").on_failure(give_up))).await;
    assert_eq!(log.committed(), [10]);
}
