//! How a source is let go of, after its last outcome.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;
use towpath::{
    BoxError, Delivery, Ending, Event, EventKind, Flow, Outcome, Pipeline, Processor, Restarts,
    Source,
    core::{Acknowledger, Intake, Permanent, Producer, Received, Settled, Unacknowledged},
    producer::Redeliver,
};
use towpath_test::{Cue, check};

const SECOND: Duration = Duration::from_secs(1);
/// What a pipeline that is cut short takes at most beyond its deadline.
const GRACE: Duration = Duration::from_millis(1_200);

/// What became of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Told(usize),
    Closed,
    Dropped,
}

/// How a call of a source goes.
#[derive(Clone, Copy)]
enum How {
    Well,
    Hangs,
    Fails,
    Panics,
}

impl How {
    async fn go(self) -> Result<(), BoxError> {
        match self {
            Self::Well => Ok(()),
            Self::Hangs => pending().await,
            Self::Fails => Err("no way out".into()),
            Self::Panics => panic!("broken door"),
        }
    }
}

/// A room with some numbers, and a door.
#[derive(Clone)]
struct Room {
    left: u64,
    ends: bool,
    settle: How,
    close: How,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Room {
    fn of(messages: u64) -> Self {
        Self {
            left: messages,
            ends: true,
            settle: How::Well,
            close: How::Well,
            seen: Arc::default(),
        }
    }

    fn source(&self) -> Source<Self> {
        Source::new("room", self.clone())
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn count(&self, what: &Seen) -> usize {
        self.seen().iter().filter(|seen| *seen == what).count()
    }
}

impl Producer for Room {
    type Payload = u64;
    type Acknowledger = Door;

    async fn receive(&mut self, intake: &mut Intake<u64, u64>) -> Result<Received, BoxError> {
        while self.left > 0 && intake.room() > 0 {
            self.left -= 1;
            intake.push(Delivery::new(self.left, self.left));
        }
        match (self.left, self.ends) {
            (0, true) => Ok(Received::End),
            (0, false) if intake.is_empty() => pending().await,
            _ => Ok(Received::More),
        }
    }

    fn acknowledger(&mut self) -> Option<Door> {
        Some(Door(self.clone()))
    }
}

/// Can never be reached.
struct Gone;

impl Producer for Gone {
    type Payload = u64;
    type Acknowledger = Unacknowledged;

    async fn receive(&mut self, _: &mut Intake<u64, ()>) -> Result<Received, BoxError> {
        Err(Permanent::new("for ever").into())
    }
}

struct Door(Room);

impl Door {
    fn saw(&self, what: Seen) {
        self.0.seen.lock().unwrap().push(what);
    }
}

impl Acknowledger for Door {
    type Token = u64;

    async fn settle(&mut self, run: &mut Vec<(u64, Outcome)>) -> Result<Settled, BoxError> {
        self.0.settle.go().await?;
        let count = run.drain(..).count();
        self.saw(Seen::Told(count));
        Ok(Settled::confirmed(count))
    }

    async fn close(&mut self) -> Result<(), BoxError> {
        self.saw(Seen::Closed);
        self.0.close.go().await
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.saw(Seen::Dropped);
    }
}

/// Stages, and what was said of each.
type Failures = Arc<Mutex<Vec<(String, String)>>>;

/// What could not be closed as it should be, and why.
fn close_failures(pipeline: Pipeline) -> (Pipeline, Failures) {
    let seen = Failures::default();
    let failures = seen.clone();
    let pipeline = pipeline.observer(move |event: &Event| {
        if let EventKind::CloseFailed { error } = &event.kind {
            let failure = (event.stage.to_string(), error.clone());
            failures.lock().unwrap().push(failure);
        }
    });
    (pipeline, seen)
}

fn told(seen: &[Seen]) -> usize {
    let told = seen.iter().map(|seen| match seen {
        Seen::Told(count) => *count,
        Seen::Closed | Seen::Dropped => 0,
    });
    told.sum()
}

#[tokio::test(start_paused = true)]
async fn a_source_is_closed_once_after_its_last_outcome() {
    let (room, other) = (Room::of(500), Room::of(3));
    let work = Processor::new("work", Cue::new().delay(SECOND).handler()).unordered(16);
    let flow = Flow::from(room.source()).merge(Flow::from(Source::new("other", other.clone())));
    let report = flow.process(work).acknowledge().run().await.unwrap();
    check(&report);
    for (room, messages) in [(room, 500), (other, 3)] {
        let seen = room.seen();
        assert_eq!(told(&seen), messages);
        assert_eq!(seen[seen.len() - 2..], [Seen::Closed, Seen::Dropped]);
        assert_eq!(room.count(&Seen::Closed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_is_closed_after_its_last_outcome_also_when_its_pipeline_is_cut_short() {
    for hangs in [false, true] {
        let room = Room {
            ends: false,
            ..Room::of(5)
        };
        let cue = Cue::new().hang_when(move |n| hangs && *n == 3);
        let work = Processor::new("work", cue.handler());
        let running = Flow::from(room.source()).process(work).acknowledge();
        let running = running.start().await.unwrap();
        cue.wait_for(5).await;
        running.handle().stop(SECOND).await;
        let report = running.join().await.unwrap();
        let ending = if hangs {
            Ending::DeadlineExceeded
        } else {
            Ending::Stopped
        };
        assert_eq!(report.ending, ending);
        let seen = room.seen();
        assert_eq!(told(&seen), 5);
        assert_eq!(seen[seen.len() - 2..], [Seen::Closed, Seen::Dropped]);
        assert_eq!(room.count(&Seen::Closed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_is_closed_when_its_pipeline_fails() {
    let room = Room {
        ends: false,
        ..Room::of(5)
    };
    let gone = Source::new("gone", Gone);
    let report = Flow::from(room.source())
        .merge(Flow::from(gone))
        .acknowledge()
        .run()
        .await
        .unwrap();
    assert!(matches!(report.ending, Ending::Failed { .. }), "{report:?}");
    assert_eq!(room.count(&Seen::Closed), 1);
    // A pipeline whose workers die too often gives up at once.
    let room = Room {
        ends: false,
        ..Room::of(5)
    };
    let work = Processor::new("work", Cue::new().hang_when(|_| true).handler());
    let running = Flow::from(room.source())
        .process(work)
        .acknowledge()
        .restarts(Restarts::at_most(0, SECOND))
        .start()
        .await
        .unwrap();
    running.handle().kill_worker("work", 0).unwrap();
    let report = running.join().await.unwrap();
    assert!(matches!(report.ending, Ending::Failed { .. }), "{report:?}");
    assert_eq!(room.seen()[1..], [Seen::Closed, Seen::Dropped]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_takes_its_outcomes_is_closed_when_they_are_given_up() {
    let room = Room {
        ends: false,
        settle: How::Hangs,
        ..Room::of(5)
    };
    let cue = Cue::new();
    let work = Processor::new("work", cue.handler());
    let running = Flow::from(room.source()).process(work).acknowledge();
    let running = running.start().await.unwrap();
    cue.wait_for(5).await;
    let begun = Instant::now();
    running.handle().stop(SECOND).await;
    assert!(begun.elapsed() < SECOND + GRACE, "{:?}", begun.elapsed());
    let report = running.join().await.unwrap();
    assert_eq!(report.ending, Ending::DeadlineExceeded);
    assert_eq!(room.seen(), [Seen::Closed, Seen::Dropped]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_when_it_is_closed_holds_its_pipeline_up_for_a_drain_at_most() {
    let room = Room {
        close: How::Hangs,
        ..Room::of(5)
    };
    let pipeline = Flow::from(room.source()).acknowledge();
    let (pipeline, failures) = close_failures(pipeline.drain_deadline(7 * SECOND));
    let begun = Instant::now();
    let report = pipeline.run().await.unwrap();
    check(&report);
    assert_eq!(begun.elapsed(), 7 * SECOND);
    assert_eq!(
        (report.ending.clone(), report.exit_code()),
        (Ending::Finished, 0)
    );
    let failures = failures.lock().unwrap().clone();
    assert_eq!(failures, [("room".into(), "not closed within 7s".into())]);
    assert_eq!(
        room.seen(),
        [Seen::Told(5), Seen::Closed, Seen::Dropped],
        "it is closed once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_when_it_is_closed_does_not_hold_up_a_stop() {
    let room = Room {
        ends: false,
        close: How::Hangs,
        ..Room::of(5)
    };
    let running = Flow::from(room.source()).acknowledge();
    let running = running.start().await.unwrap();
    tokio::time::sleep(SECOND).await;
    let begun = Instant::now();
    running.handle().stop(SECOND).await;
    assert!(begun.elapsed() < SECOND + GRACE, "{:?}", begun.elapsed());
    let report = running.join().await.unwrap();
    assert_eq!(report.ending, Ending::DeadlineExceeded);
    assert_eq!((report.counts.done, report.left), (5, 0));
    assert_eq!(room.seen(), [Seen::Told(5), Seen::Closed, Seen::Dropped]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_or_panics_when_it_is_closed_is_reported() {
    for (close, said) in [
        (How::Fails, "no way out"),
        (How::Panics, "panicked: broken door"),
    ] {
        let room = Room {
            close,
            ..Room::of(5)
        };
        let (pipeline, failures) = close_failures(Flow::from(room.source()).acknowledge());
        let report = pipeline.run().await.unwrap();
        check(&report);
        let failures = failures.lock().unwrap().clone();
        assert_eq!(failures, [("room".into(), said.into())]);
        assert_eq!(report.exit_code(), 0, "every outcome was told");
        assert_eq!(room.count(&Seen::Closed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_wrapped_is_closed_too() {
    let room = Room::of(5);
    let redeliver = Redeliver::new(room.clone());
    let pipeline = Flow::from(Source::new("room", redeliver)).acknowledge();
    check(&pipeline.run().await.unwrap());
    assert_eq!(room.seen(), [Seen::Told(5), Seen::Closed, Seen::Dropped]);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_is_dropped_leaves_its_sources_to_be_dropped() {
    let room = Room {
        ends: false,
        ..Room::of(5)
    };
    let running = Flow::from(room.source()).acknowledge();
    let running = running.start().await.unwrap();
    tokio::time::sleep(SECOND).await;
    drop(running);
    tokio::time::sleep(SECOND).await;
    assert_eq!(room.seen(), [Seen::Told(5), Seen::Dropped]);
}
