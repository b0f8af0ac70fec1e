//! What sources and sinks of servers rely on: leases, a last attempt, lag and reach.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;
use towpath::{
    Batch, Batcher, BoxError, DeadLetter, Delivery, Event, EventKind, Failure, Flow, Outcome,
    Processor, Sink, SinkStage, Source, Written,
    connector::Persistence,
    core::{
        Acknowledger, AttemptsExhausted, Intake, Lag, Peer, Producer, Reach, Received, Redelivery,
        Settled, SinkPromise, find,
    },
    producer::{IterSource, Redeliver},
};
use towpath_test::{Cue, Recorder, check};

const SECOND: Duration = Duration::from_secs(1);

/// Lends numbers, and notes when somebody says that they are still worked on.
#[derive(Clone)]
struct Lender {
    left: u64,
    every: Option<Duration>,
    begun: Instant,
    extended: Arc<Mutex<Vec<Duration>>>,
    settle_fails: Arc<AtomicUsize>,
    extend: fn() -> Result<(), BoxError>,
    lag: Lag,
}

impl Lender {
    fn of(messages: u64, every: Option<Duration>) -> Self {
        Self {
            left: messages,
            every,
            begun: Instant::now(),
            extended: Arc::default(),
            settle_fails: Arc::default(),
            extend: || Ok(()),
            lag: Lag::default(),
        }
    }

    fn source(&self) -> Source<Self> {
        Source::new("lender", self.clone())
    }

    /// When it was told, in whole seconds.
    fn extended(&self) -> Vec<u64> {
        let extended = self.extended.lock().unwrap();
        extended.iter().map(Duration::as_secs).collect()
    }
}

impl Producer for Lender {
    type Payload = u64;
    type Acknowledger = Self;

    async fn receive(&mut self, intake: &mut Intake<u64, u64>) -> Result<Received, BoxError> {
        while self.left > 0 && intake.room() > 0 {
            self.left -= 1;
            intake.push(Delivery::new(self.left, self.left));
        }
        self.lag.set(self.left);
        Ok(if self.left == 0 {
            Received::End
        } else {
            Received::More
        })
    }

    fn acknowledger(&mut self) -> Option<Self> {
        Some(self.clone())
    }

    fn redelivery(&self) -> Redelivery {
        Redelivery::Durable
    }

    fn lag(&self) -> Option<Lag> {
        Some(self.lag.clone())
    }
}

impl Acknowledger for Lender {
    type Token = u64;

    async fn settle(&mut self, run: &mut Vec<(u64, Outcome)>) -> Result<Settled, BoxError> {
        if self.settle_fails.load(SeqCst) > 0 {
            self.settle_fails.fetch_sub(1, SeqCst);
            return Err("away".into());
        }
        Ok(Settled::confirmed(run.drain(..).count()))
    }

    fn extend_every(&self) -> Option<Duration> {
        self.every
    }

    async fn extend(&mut self) -> Result<(), BoxError> {
        self.extended.lock().unwrap().push(self.begun.elapsed());
        (self.extend)()
    }
}

/// Works on each message for that long.
fn working(time: Duration) -> Cue<u64> {
    Cue::new().delay(time)
}

fn events(
    pipeline: towpath::Pipeline,
    word: &'static str,
) -> (towpath::Pipeline, Arc<Mutex<Vec<Event>>>) {
    let seen = Arc::<Mutex<Vec<Event>>>::default();
    let events = seen.clone();
    let pipeline = pipeline.observer(move |event: &Event| {
        if event.kind.word() == word {
            events.lock().unwrap().push(event.clone());
        }
    });
    (pipeline, seen)
}

#[tokio::test(start_paused = true)]
async fn a_lent_message_is_extended_for_as_long_as_it_is_worked_on_and_no_longer() {
    let lender = Lender::of(1, Some(10 * SECOND));
    let work = Processor::new("work", working(35 * SECOND).handler());
    let report = Flow::from(lender.source())
        .process(work)
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(lender.extended(), [10, 20, 30]);
}

#[tokio::test(start_paused = true)]
async fn extending_goes_on_between_outcomes_and_between_failed_settlements() {
    let lender = Lender::of(200, Some(SECOND));
    lender.settle_fails.store(7, SeqCst);
    let work = Processor::new("work", working(30 * SECOND / 10).handler()).unordered(20);
    let report = Flow::from(lender.source())
        .process(work)
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(report.sources[0].settled.confirmed, 200);
    // Ten rounds of three seconds, and never two seconds without a word.
    let extended = lender.extended();
    assert!(
        extended.windows(2).all(|pair| pair[1] - pair[0] <= 2),
        "{extended:?}"
    );
    assert!(extended.last() >= Some(&28), "{extended:?}");
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_fails_or_panics_is_reported_and_the_next_comes_at_its_time() {
    for (extend, said) in [
        (
            (|| Err("no such lease".into())) as fn() -> _,
            "no such lease",
        ),
        (|| panic!("broken lender"), "panicked: broken lender"),
    ] {
        let lender = Lender {
            extend,
            ..Lender::of(1, Some(10 * SECOND))
        };
        let work = Processor::new("work", working(25 * SECOND).handler());
        let pipeline = Flow::from(lender.source()).process(work).acknowledge();
        let (pipeline, seen) = events(pipeline, "extend_failed");
        let report = pipeline.run().await.unwrap();
        check(&report);
        assert_eq!(lender.extended(), [10, 20]);
        let seen = seen.lock().unwrap();
        for event in seen.iter() {
            let EventKind::ExtendFailed { error } = &event.kind else {
                panic!("{event:?}");
            };
            assert_eq!(error, said);
        }
        assert_eq!(seen.len(), 2);
        assert_eq!(report.exit_code(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_without_leases_is_never_asked_to_extend_and_a_pause_of_zero_is_none() {
    for every in [None, Some(Duration::ZERO)] {
        let lender = Lender::of(1, every);
        let work = Processor::new("work", working(3600 * SECOND).handler());
        let report = Flow::from(lender.source())
            .process(work)
            .acknowledge()
            .run()
            .await
            .unwrap();
        check(&report);
        assert_eq!(lender.extended(), Vec::<u64>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_given_up_at_its_last_attempt_over_all_deliveries() {
    let letters = Recorder::<DeadLetter>::new();
    let fails = Cue::new().retry_when(|n| n % 2 == 0);
    let source = Redeliver::new(IterSource::new(0..4_u64)).attempts(9.try_into().unwrap());
    let report = Flow::from(Source::new("numbers", source))
        .process(Processor::new("work", fails.handler()))
        .acknowledge()
        .max_attempts(3)
        .dead_letter(letters.sink("letters"))
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!((fails.calls_of(&0), fails.calls_of(&1)), (3, 1));
    let letters = letters.items();
    assert_eq!(letters.len(), 2);
    for letter in letters {
        let exhausted = find::<AttemptsExhausted>(letter.cause.error()).unwrap();
        assert_eq!((exhausted.attempts.get(), letter.origin.attempt), (3, 3));
        assert_eq!(letter.cause.stage().as_str(), "work");
        assert!(
            letter.cause.chain().len() >= 2,
            "{:?}",
            letter.cause.chain()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_given_back_as_a_whole_counts_for_each_of_its_messages() {
    let letters = Recorder::<DeadLetter>::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let away = towpath::write("away", move |_: Batch<u64>| {
        counted.fetch_add(1, SeqCst);
        async { Err::<(), BoxError>(Failure::retry("away").after(SECOND).into()) }
    });
    let source = Redeliver::new(IterSource::new(0..3_u64)).attempts(9.try_into().unwrap());
    let report = Flow::from(Source::new("numbers", source))
        .sink(away)
        .max_attempts(4)
        .dead_letter(letters.sink("letters"))
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(letters.items().len(), 3);
    assert_eq!(calls.load(SeqCst), 4);
}

#[tokio::test]
async fn a_limit_of_no_attempts_makes_no_sense() {
    let pipeline = Flow::from(Source::iter("numbers", 0..1))
        .acknowledge()
        .max_attempts(0);
    let error = pipeline.run().await.unwrap_err();
    assert!(
        format!("{error:?}").contains("max_attempts must be at least 1"),
        "{error:?}"
    );
}

/// Is away until it is let in.
#[derive(Clone, Default)]
struct Far {
    reach: Reach,
    back: Arc<tokio::sync::Notify>,
}

impl Sink<u64> for Far {
    async fn write(&mut self, _: Batch<u64>) -> Result<Written, BoxError> {
        self.reach.failed("connection refused");
        self.back.notified().await;
        self.reach.answered();
        Ok(Written::All)
    }

    fn reach(&self) -> Option<Reach> {
        Some(self.reach.clone())
    }

    fn peer(&self) -> Peer {
        Peer::new("far").destination("away")
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_says_which_sink_is_out_of_reach_and_how_much_waits_in_a_source() {
    let (lender, far) = (Lender::of(500, None), Far::default());
    let running = Flow::from(lender.source())
        .sink(SinkStage::new("far", far.clone(), SinkPromise::Plain))
        .start()
        .await
        .unwrap();
    // It is as far as it gets when nothing else has anything to do.
    tokio::time::sleep(SECOND).await;
    let status = running.handle().status();
    let stage = status
        .stages
        .iter()
        .find(|stage| stage.name.as_str() == "far")
        .unwrap();
    let reach = stage.reach.clone().unwrap();
    assert_eq!(
        (reach.failures, reach.error.as_deref()),
        (1, Some("connection refused"))
    );
    let lag = status.sources[0].lag.unwrap();
    assert!(lag > 0 && lag == lender.lag.get().unwrap(), "{lag}");
    let finish = async {
        loop {
            far.back.notify_one();
            tokio::task::yield_now().await;
        }
    };
    let report = tokio::select! {
        report = running.join() => report.unwrap(),
        () = finish => pending().await,
    };
    check(&report);
    let stage = report
        .stages
        .iter()
        .find(|stage| stage.name.as_str() == "far")
        .unwrap();
    assert_eq!(stage.reach.as_ref().unwrap().error, None);
    assert_eq!(report.sources[0].lag, Some(0));
}

/// Is away until a time, and waits for it as a connector does.
struct AwayUntil {
    reach: Reach,
    back_at: Instant,
    written: Arc<Mutex<Vec<u64>>>,
}

impl AwayUntil {
    fn call(&self) -> Result<(), BoxError> {
        if Instant::now() < self.back_at {
            return Err("connection refused".into());
        }
        Ok(())
    }
}

impl Sink<u64> for AwayUntil {
    async fn write(&mut self, batch: Batch<u64>) -> Result<Written, BoxError> {
        let mut tries = Persistence::new(self.reach.clone(), 3600 * SECOND);
        while tries.attempt(async { self.call() }).await?.is_none() {}
        self.written.lock().unwrap().extend(batch);
        Ok(Written::All)
    }

    fn reach(&self) -> Option<Reach> {
        Some(self.reach.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_sink_is_away_for_ten_minutes_nothing_more_is_fetched_and_nothing_comes_twice() {
    let lender = Lender::of(100_000, Some(10 * SECOND));
    let (reach, written) = (Reach::default(), Arc::<Mutex<Vec<_>>>::default());
    let sink = AwayUntil {
        reach: reach.clone(),
        back_at: Instant::now() + 600 * SECOND,
        written: written.clone(),
    };
    let pipeline = Flow::from(lender.source())
        .batch(Batcher::new("collect").max_messages(100))
        .sink(SinkStage::of("away", sink));
    let running = pipeline.start().await.unwrap();
    tokio::time::sleep(SECOND).await;
    let early = running.handle().status();
    tokio::time::sleep(598 * SECOND).await;
    let late = running.handle().status();
    assert_eq!(late.counts.emitted, early.counts.emitted);
    assert!(late.counts.in_flight <= late.bound, "{late:?}");
    assert_eq!(late.counts.done, 0);
    // Ever slower, up to ten seconds each: no busy loop, and no long sleep either.
    assert!(
        (60..200).contains(&reach.failures()),
        "{}",
        reach.failures()
    );
    assert!((58..=60).contains(&lender.extended().len()));
    let report = running.join().await.unwrap();
    check(&report);
    let mut written = written.lock().unwrap();
    written.sort_unstable();
    assert!(written.iter().copied().eq(0..100_000));
}
