//! A sink for tests: remembers what it is given, and fails on cue.

mod sink;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::Notify;
use towpath::{BatchInfo, SinkStage, StageName, core::SinkPromise};

pub use sink::RecordingSink;
pub(crate) use sink::Running;

use crate::hold::{Hold, lock, wait_until};

/// Remembers what its sinks are given. Cloning gives another handle on the same memory.
///
/// ```
/// use towpath_test::Recorder;
///
/// let recorder = Recorder::new().fail_when(|n: &u32| *n == 13);
/// let sink = recorder.sink("record");
/// # let _ = sink;
/// ```
pub struct Recorder<T>(Arc<Memory<T>>);

pub(crate) struct Memory<T> {
    batches: Mutex<Vec<(Vec<T>, BatchInfo)>>,
    written: Mutex<Vec<T>>,
    cue: Mutex<Cues<T>>,
    running: AtomicUsize,
    max_running: AtomicUsize,
    hold: Hold,
    changed: Notify,
}

type When<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

/// How writing goes wrong. Batches are counted from 0, over all workers, as they come.
pub(crate) struct Cues<T> {
    pub(crate) fail: Option<When<T>>,
    pub(crate) retry: Option<When<T>>,
    pub(crate) panic_on: Option<usize>,
    pub(crate) error_on: Option<usize>,
    pub(crate) hang_on: Option<usize>,
    pub(crate) delay: Duration,
}

impl<T: Clone + Send + 'static> Recorder<T> {
    /// A recorder that remembers nothing yet and fails nothing.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Memory {
            batches: Mutex::default(),
            written: Mutex::default(),
            cue: Mutex::new(Cues::none()),
            running: AtomicUsize::new(0),
            max_running: AtomicUsize::new(0),
            hold: Hold::new(),
            changed: Notify::new(),
        }))
    }

    /// A sink that writes into this recorder.
    pub fn sink(&self, name: impl Into<StageName>) -> SinkStage<RecordingSink<T>> {
        SinkStage::new(name, self.raw_sink(), SinkPromise::Plain)
    }

    /// The same without a name, for a sink that is part of another.
    pub fn raw_sink(&self) -> RecordingSink<T> {
        RecordingSink::new(self.0.clone())
    }

    /// Rejects the messages that `when` picks.
    #[must_use]
    pub fn fail_when(self, when: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        lock(&self.0.cue).fail = Some(Arc::new(when));
        self
    }

    /// Gives the messages back that `when` picks.
    #[must_use]
    pub fn retry_when(self, when: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        lock(&self.0.cue).retry = Some(Arc::new(when));
        self
    }

    /// Panics over batch `n`, counted from 0 over all workers.
    #[must_use]
    pub fn panic_on_batch(self, n: usize) -> Self {
        lock(&self.0.cue).panic_on = Some(n);
        self
    }

    /// Fails batch `n` as a whole, counted from 0 over all workers.
    #[must_use]
    pub fn error_on_batch(self, n: usize) -> Self {
        lock(&self.0.cue).error_on = Some(n);
        self
    }

    /// Hangs over batch `n` until [`release`](Self::release), counted from 0 over all workers.
    #[must_use]
    pub fn hang_on_batch(self, n: usize) -> Self {
        lock(&self.0.cue).hang_on = Some(n);
        self
    }

    /// Takes so long over each batch.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        lock(&self.0.cue).delay = delay;
        self
    }

    /// Lets go of what hangs, now and later.
    pub fn release(&self) {
        self.0.hold.release();
    }

    /// The messages that were written, in order; those that failed are not among them.
    pub fn items(&self) -> Vec<T> {
        lock(&self.0.written).clone()
    }

    /// Every batch as it came, those that failed or hang included.
    pub fn batches(&self) -> Vec<(Vec<T>, BatchInfo)> {
        lock(&self.0.batches).clone()
    }

    /// The most batches that were written at once.
    pub fn max_running(&self) -> usize {
        self.0.max_running.load(SeqCst)
    }

    /// Waits until `n` messages are written.
    pub async fn wait_for(&self, n: usize) {
        wait_until(&self.0.changed, || lock(&self.0.written).len() >= n).await;
    }

    /// Waits until `n` batches have come.
    pub async fn wait_for_batches(&self, n: usize) {
        wait_until(&self.0.changed, || lock(&self.0.batches).len() >= n).await;
    }
}

impl<T> Cues<T> {
    fn none() -> Self {
        Self {
            fail: None,
            retry: None,
            panic_on: None,
            error_on: None,
            hang_on: None,
            delay: Duration::ZERO,
        }
    }
}

impl<T> Clone for Cues<T> {
    fn clone(&self) -> Self {
        Self {
            fail: self.fail.clone(),
            retry: self.retry.clone(),
            ..*self
        }
    }
}

impl<T> Clone for Recorder<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone + Send + 'static> Default for Recorder<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Recorder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("written", &lock(&self.0.written).len())
            .field("batches", &lock(&self.0.batches).len())
            .finish_non_exhaustive()
    }
}
