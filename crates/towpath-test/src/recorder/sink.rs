//! The sink of a recorder.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use towpath::{Batch, BoxError, Sink, Verdicts, Written};

use super::{Cues, Memory};
use crate::hold::lock;

/// A sink that writes into a [`Recorder`](crate::Recorder).
pub struct RecordingSink<T>(Arc<Memory<T>>);

impl<T: Clone> RecordingSink<T> {
    pub(super) fn new(memory: Arc<Memory<T>>) -> Self {
        Self(memory)
    }

    /// Notes that a batch has come; tells how many had come before.
    fn arrived(&self, batch: &Batch<T>) -> usize {
        let mut batches = lock(&self.0.batches);
        batches.push((batch.items().to_vec(), batch.info().clone()));
        let number = batches.len() - 1;
        drop(batches);
        self.0.changed.notify_waiters();
        number
    }

    fn judge(&self, cues: &Cues<T>, batch: Batch<T>) -> Verdicts {
        let picks =
            |when: &Option<super::When<T>>, item: &T| when.as_ref().is_some_and(|w| w(item));
        let mut verdicts = Verdicts::done();
        let mut written = Vec::new();
        for (index, item) in batch.into_iter().enumerate() {
            if picks(&cues.fail, &item) {
                verdicts = verdicts.reject(index, "the sink fails on cue");
            } else if picks(&cues.retry, &item) {
                verdicts =
                    verdicts.retry(index, "the sink retries on cue", std::time::Duration::ZERO);
            } else {
                written.push(item);
            }
        }
        lock(&self.0.written).append(&mut written);
        self.0.changed.notify_waiters();
        verdicts
    }
}

impl<T: Clone + Send + 'static> Sink<T> for RecordingSink<T> {
    async fn write(&mut self, batch: Batch<T>) -> Result<Written, BoxError> {
        let number = self.arrived(&batch);
        let cues = lock(&self.0.cue).clone();
        let _running = Running::enter(&self.0.running, &self.0.max_running);
        if !cues.delay.is_zero() {
            tokio::time::sleep(cues.delay).await;
        }
        if cues.hang_on == Some(number) {
            self.0.hold.wait().await;
        }
        assert!(
            cues.panic_on != Some(number),
            "the sink panics on cue over batch {number}"
        );
        if cues.error_on == Some(number) {
            return Err(format!("the sink fails on cue over batch {number}").into());
        }
        Ok(self.judge(&cues, batch).into())
    }
}

/// Counts what runs, until dropped.
pub(crate) struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    pub(crate) fn enter(running: &'a AtomicUsize, max: &AtomicUsize) -> Self {
        let now = running.fetch_add(1, SeqCst) + 1;
        max.fetch_max(now, SeqCst);
        Self(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl<T> Clone for RecordingSink<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for RecordingSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingSink").finish_non_exhaustive()
    }
}
