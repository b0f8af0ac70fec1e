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
    parking: usize,
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
            parking: 0,
            workers,
            finished: AtomicBool::new(false),
            wakers: Mutex::new(vec![None; workers]),
        }
    }

    /// With slots for `parking` more messages, which wait for a policy and are not at work.
    #[must_use]
    pub fn with_parking(mut self, parking: usize) -> Self {
        self.parking = parking;
        self
    }

    /// How many messages the stage works on at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency.load(SeqCst)
    }

    /// The most that [`concurrency`](Self::concurrency) ever was.
    pub fn peak(&self) -> usize {
        self.peak.load(SeqCst)
    }

    /// How many messages more may wait for a policy in the stage.
    pub fn parking(&self) -> usize {
        self.parking
    }

    /// The slots that are one worker's: its part of the limit and of the parking.
    pub fn share(&self, worker: usize) -> usize {
        let all = self.concurrency().saturating_add(self.parking);
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
            .field("parking", &self.parking)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    //! How the slots of a stage are shared out.

    use std::sync::Arc;

    use super::*;

    fn shares(control: &StageControl) -> Vec<usize> {
        (0..control.workers)
            .map(|worker| control.share(worker))
            .collect()
    }

    #[test]
    fn workers_share_the_limit_and_the_parking() {
        let control = StageControl::new(3, 4).with_parking(10);
        assert_eq!(shares(&control), [5, 5, 4]);
        assert_eq!((control.concurrency(), control.parking()), (4, 10));
    }

    #[test]
    fn a_new_limit_keeps_the_parking() {
        let control = StageControl::new(2, 4).with_parking(10);
        control.set_concurrency(8);
        assert_eq!(shares(&control), [9, 9]);
        control.set_concurrency(1);
        assert_eq!(shares(&control), [6, 5]);
        assert_eq!((control.concurrency(), control.peak()), (1, 8));
    }

    #[test]
    fn parking_without_an_end_does_not_overflow() {
        let control = StageControl::new(2, 4).with_parking(usize::MAX);
        assert_eq!(shares(&control), [usize::MAX / 2 + 1, usize::MAX / 2]);
    }

    #[test]
    fn a_worker_is_woken_when_its_share_rises() {
        struct Flag(AtomicBool);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, SeqCst);
            }
        }
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let control = StageControl::new(1, 1).with_parking(2);
        control.watch(0, control.share(0), &Waker::from(flag.clone()));
        assert!(!flag.0.load(SeqCst));
        control.set_concurrency(2);
        assert!(flag.0.load(SeqCst));
    }
}
