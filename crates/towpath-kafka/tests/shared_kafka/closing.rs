//! Leaving a group: others are not held up by it, neither tasks nor members.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use towpath::{Ending, Event, EventKind, Pipeline};
use towpath_test::Recorder;
use towpath_test_servers::{Kafka, or_not_run};

use crate::{
    client,
    pipes::{self, quick},
};

/// How often a beat is.
const BEAT: Duration = Duration::from_millis(10);

/// The longest time in which nothing else ran on the runtime, though threads did: that the
/// machine stands still is nobody's fault.
struct Beat {
    longest: Arc<AtomicU32>,
    #[expect(dead_code, reason = "ends when dropped")]
    beating: JoinSet<()>,
    #[expect(dead_code, reason = "the thread ends when this is dropped")]
    counting: mpsc::Sender<()>,
}

/// Counts beats on a thread of its own.
fn beats() -> (Arc<AtomicU32>, mpsc::Sender<()>) {
    let beats = Arc::<AtomicU32>::default();
    let counted = beats.clone();
    let (counting, ended) = mpsc::channel();
    thread::spawn(move || {
        while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            counted.fetch_add(1, Relaxed);
        }
    });
    (beats, counting)
}

impl Beat {
    fn begin() -> Self {
        let longest = Arc::<AtomicU32>::default();
        let noted = longest.clone();
        let (beats, counting) = beats();
        let mut beating = JoinSet::new();
        beating.spawn(async move {
            let mut last = beats.load(Relaxed);
            loop {
                sleep(BEAT).await;
                let now = beats.load(Relaxed);
                noted.fetch_max(now - last, Relaxed);
                last = now;
            }
        });
        Self {
            longest,
            beating,
            counting,
        }
    }

    async fn end(self) -> Duration {
        // A gap that is not over yet shows when it is.
        sleep(Duration::from_millis(50)).await;
        BEAT * self.longest.load(Relaxed)
    }
}

fn close_failures(pipeline: Pipeline) -> (Pipeline, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let failures = seen.clone();
    let pipeline = pipeline.observer(move |event: &Event| {
        if let EventKind::CloseFailed { error } = &event.kind {
            failures.lock().unwrap().push(error.clone());
        }
    });
    (pipeline, seen)
}

/// The runtime of this test has one thread: nothing that blocks it goes unnoticed.
#[tokio::test]
async fn while_a_source_leaves_a_broker_that_hangs_other_tasks_go_on() {
    let Some(mut kafka) = or_not_run(Kafka::start()) else {
        return;
    };
    let brokers = kafka.brokers();
    for (topic, deadline) in [("patient", 20), ("hasty", 1)] {
        kafka.create_topic(topic, 1);
        client::put_numbers(&brokers, topic, 1, 0..10);
        let pipeline = pipes::recording(quick(&brokers, topic, topic), &Recorder::new());
        let (pipeline, failures) = close_failures(pipeline);
        let running = pipeline.start().await.unwrap();
        let confirmed = || running.handle().status().sources[0].settled.confirmed;
        pipes::until("all is committed", || confirmed() == 10).await;
        kafka.freeze();
        let beat = Beat::begin();
        let begun = Instant::now();
        running.handle().drain_within(Duration::from_secs(deadline));
        let report = pipes::within(running.join()).await.unwrap();
        let took = begun.elapsed();
        let longest = beat.end().await;
        kafka.thaw();
        assert!(longest < Duration::from_secs(1), "held up for {longest:?}");
        assert!(took < Duration::from_secs(15), "after {took:?}");
        let failures = failures.lock().unwrap().clone();
        match report.ending {
            Ending::Stopped => {
                assert_eq!((topic, failures.len()), ("patient", 1), "{failures:?}");
                assert!(failures[0].contains("`close_timeout`"), "{failures:?}");
            }
            ending => assert_eq!((topic, ending), ("hasty", Ending::DeadlineExceeded)),
        }
    }
}

/// A member that had not left would keep its partitions until its session is over.
#[tokio::test]
async fn a_group_is_left_when_its_pipeline_has_ended_and_the_next_member_has_all_at_once() {
    let Some(kafka) = or_not_run(Kafka::start()) else {
        return;
    };
    let brokers = kafka.brokers();
    kafka.create_topic("orders", 2);
    let options = quick(&brokers, "g", "orders").session_timeout(Duration::from_secs(40));
    let mut numbers = 0..10;
    for _ in 0..3 {
        client::put_numbers(&brokers, "orders", 2, numbers.clone());
        let recorder = Recorder::new();
        let (pipeline, failures) = close_failures(pipes::recording(options.clone(), &recorder));
        let running = pipeline.start().await.unwrap();
        let beat = Beat::begin();
        let begun = Instant::now();
        pipes::within(recorder.wait_for(10)).await;
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "after {:?}",
            begun.elapsed()
        );
        drop(pipes::drained(running).await);
        let longest = beat.end().await;
        assert!(longest < Duration::from_secs(1), "held up for {longest:?}");
        assert!(failures.lock().unwrap().is_empty());
        numbers = numbers.end..numbers.end + 10;
    }
}
