//! Pipelines of the tests, and waiting for what they do.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{sleep, timeout};
use towpath::{BoxError, Call, Flow, Pipeline, Processor, Running, Source};
use towpath_kafka::{KafkaRecord, KafkaSource, KafkaSourceOptions};
use towpath_test::Recorder;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until a condition holds; asks the outside world, which tells nobody.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "waited in vain until {what}");
}

/// As [`until`], for conditions that block.
pub(crate) async fn until_blocking(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || tokio::task::block_in_place(&mut holds)).await;
}

/// Options with short times.
pub(crate) fn quick(brokers: &str, group: &str, topic: &str) -> KafkaSourceOptions {
    KafkaSourceOptions::new(brokers, group, [topic])
        .session_timeout(Duration::from_secs(6))
        .commit_every(Duration::from_millis(20))
}

/// Numbers as text.
pub(crate) fn number(record: &KafkaRecord) -> usize {
    let text = str::from_utf8(record.as_ref()).unwrap();
    text.parse().unwrap()
}

/// A pipeline that remembers the numbers it got.
pub(crate) fn recording(options: KafkaSourceOptions, recorder: &Recorder<usize>) -> Pipeline {
    let source = KafkaSource::new(options).unwrap();
    let read = Processor::new("read", |record: KafkaRecord| async move {
        Ok::<_, BoxError>(number(&record))
    });
    Flow::from(Source::new("kafka", source))
        .process(read.concurrency(16))
        .sink(recorder.sink("record"))
}

/// Stops a pipeline as it should be stopped, and checks its report.
pub(crate) async fn drained(running: Running) -> towpath::Report {
    running.handle().drain();
    let report = within(running.join()).await.unwrap();
    towpath_test::check(&report);
    report
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("in time")
}

/// A handler that lets numbers through when it is told to, and notes each delivery.
#[derive(Clone, Default)]
pub(crate) struct Lock(Arc<Mutex<Locked>>);

#[derive(Default)]
struct Locked {
    open: bool,
    through: BTreeSet<usize>,
    /// Each delivery: the number, and which attempt it was.
    came: Vec<(usize, u32)>,
    failing: BTreeSet<usize>,
    retry_after: Duration,
}

impl Lock {
    fn with<R>(&self, change: impl FnOnce(&mut Locked) -> R) -> R {
        change(&mut self.0.lock().unwrap())
    }

    /// Lets these through.
    pub(crate) fn pass(&self, numbers: impl IntoIterator<Item = usize>) {
        self.with(|locked| locked.through.extend(numbers));
    }

    /// Lets all through.
    pub(crate) fn open(&self) {
        self.with(|locked| locked.open = true);
    }

    /// These are given back as long as they fail.
    pub(crate) fn fail(&self, numbers: impl IntoIterator<Item = usize>, after: Duration) {
        self.with(|locked| {
            locked.failing = numbers.into_iter().collect();
            locked.retry_after = after;
        });
    }

    /// What came so far.
    pub(crate) fn came(&self) -> Vec<usize> {
        self.with(|locked| locked.came.iter().map(|(number, _)| *number).collect())
    }

    /// As which attempts a number came.
    pub(crate) fn attempts(&self, number: usize) -> Vec<u32> {
        let of = |(came, attempt): &(usize, u32)| (*came == number).then_some(*attempt);
        self.with(|locked| locked.came.iter().filter_map(of).collect())
    }

    /// A pipeline of a source and this.
    pub(crate) fn pipeline(&self, source: KafkaSource) -> Pipeline {
        let lock = self.clone();
        let handle = move |call: Call<KafkaRecord>| {
            let lock = lock.clone();
            async move {
                lock.handle(number(&call.payload), call.origin.attempt)
                    .await
            }
        };
        Flow::from(Source::new("kafka", source))
            .process(Processor::with_context("lock", handle).concurrency(1_000))
            .sink(Recorder::new().sink("record"))
    }

    async fn handle(&self, number: usize, attempt: u32) -> Result<usize, BoxError> {
        self.with(|locked| locked.came.push((number, attempt)));
        loop {
            let (passes, fails) = self.with(|locked| {
                let passes = locked.open || locked.through.contains(&number);
                (passes, locked.failing.contains(&number))
            });
            if fails {
                let after = self.with(|locked| locked.retry_after);
                return Err(towpath::Failure::retry("not yet").after(after).into());
            }
            if passes {
                return Ok(number);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What the last stage says of its server.
pub(crate) fn sink_error(running: &Running) -> Option<String> {
    let stages = running.handle().status().stages;
    stages.last()?.reach.clone()?.error
}
