//! What can be changed while a stage runs.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::Waker,
};

use crate::ledger::lock;

/// The live limit of a stage, shared by its workers.
pub struct StageControl {
    concurrency: AtomicUsize,
    peak: AtomicUsize,
    workers: usize,
    finished: AtomicBool,
    wakers: Mutex<Vec<Option<Waker>>>,
}

impl StageControl {
    /// A stage of `workers` tasks that work on `concurrency` messages together.
    pub fn new(workers: usize, concurrency: usize) -> Self {
        Self {
            concurrency: AtomicUsize::new(concurrency),
            peak: AtomicUsize::new(concurrency),
            workers,
            finished: AtomicBool::new(false),
            wakers: Mutex::new(vec![None; workers]),
        }
    }

    /// How many messages the stage works on at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency.load(SeqCst)
    }

    /// The most that [`concurrency`](Self::concurrency) ever was.
    pub fn peak(&self) -> usize {
        self.peak.load(SeqCst)
    }

    /// The part of the limit that is one worker's.
    pub fn share(&self, worker: usize) -> usize {
        let all = self.concurrency();
        all / self.workers + usize::from(worker < all % self.workers)
    }

    /// Changes the limit; workers above it finish what they have and start no more.
    pub fn set_concurrency(&self, concurrency: usize) {
        self.peak.fetch_max(concurrency, SeqCst);
        self.concurrency.store(concurrency, SeqCst);
        self.wake_all();
    }

    /// A worker has seen the end of its inlet: there is nothing left for the others either.
    pub fn finish(&self) {
        self.finished.store(true, SeqCst);
        self.wake_all();
    }

    /// Whether a worker has seen the end of the inlet.
    pub fn is_finished(&self) -> bool {
        self.finished.load(SeqCst)
    }

    fn wake_all(&self) {
        let wakers: Vec<_> = lock(&self.wakers).iter_mut().map(Option::take).collect();
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Wakes `worker` when its part of the limit rises above the `share` it saw, or the others
    /// have finished. Called when it parks with work it may not start.
    pub fn watch(&self, worker: usize, share: usize, waker: &Waker) {
        self.register(worker, waker);
        // Looked at again after registering: a change in between must not be missed.
        if self.share(worker) > share {
            waker.wake_by_ref();
        }
    }

    fn register(&self, worker: usize, waker: &Waker) {
        if let Some(slot) = lock(&self.wakers).get_mut(worker) {
            match slot {
                Some(known) => known.clone_from(waker),
                None => *slot = Some(waker.clone()),
            }
        }
    }
}

impl fmt::Debug for StageControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageControl")
            .field("concurrency", &self.concurrency())
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
