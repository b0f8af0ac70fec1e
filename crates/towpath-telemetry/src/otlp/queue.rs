//! What waits to be sent: bounded, and with accounts that always add up.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::sync::Notify;

use super::Exported;

/// What waits to be sent. Whoever puts something in never waits for room.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Wakes the worker.
    due: Notify,
    /// Wakes those who wait for what they put in.
    settled: Condvar,
    pace: Pace,
}

/// How much is kept, and how it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// The most that wait.
    pub(super) capacity: usize,
    /// The most that are sent at once; so many are sent without delay.
    pub(super) batch: usize,
    /// How long fewer wait for more.
    pub(super) delay: Duration,
    /// How long one batch may take, with all attempts.
    pub(super) timeout: Duration,
}

/// What is on its way. Counts as lost unless it is settled.
pub(super) struct Batch<'a, T> {
    queue: &'a Queue<T>,
    items: Vec<T>,
    count: u64,
}

struct State<T> {
    waiting: VecDeque<T>,
    counts: Exported,
    /// How many were ever put in, and how many of those have left and are settled.
    put: u64,
    done: u64,
    /// Up to here nothing waits for more.
    hurried: u64,
    closed: bool,
}

// === impl Queue ===

impl<T> Queue<T> {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                counts: Exported::default(),
                put: 0,
                done: 0,
                hurried: 0,
                closed: false,
            }),
            due: Notify::new(),
            settled: Condvar::new(),
            pace,
        }
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    pub(super) fn counts(&self) -> Exported {
        self.lock().counts
    }

    /// Puts it in, or counts it as lost.
    pub(super) fn put(&self, item: T) {
        let full_batch = self.try_put(item);
        if full_batch {
            self.due.notify_one();
        }
    }

    /// Whether a batch has just become full.
    fn try_put(&self, item: T) -> bool {
        let mut state = self.lock();
        state.counts.emitted += 1;
        if state.closed {
            state.counts.cut_off += 1;
            return false;
        }
        if state.waiting.len() >= self.pace.capacity {
            state.counts.overflowed += 1;
            return false;
        }
        state.put += 1;
        state.waiting.push_back(item);
        state.waiting.len() == self.pace.batch
    }

    /// Nothing more comes in, and nothing waits for more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.due.notify_one();
    }

    /// Waits until a batch is full or nothing may wait for more, but no longer than the delay.
    ///
    /// Cancel safe.
    pub(super) async fn due(&self) {
        let due = async {
            while !self.is_due() {
                self.due.notified().await;
            }
        };
        // Whether it is due or the delay is over: what there is goes.
        tokio::time::timeout(self.pace.delay, due).await.ok();
    }

    fn is_due(&self) -> bool {
        let state = self.lock();
        state.closed
            || state.waiting.len() >= self.pace.batch
            || (state.hurried > state.done && !state.waiting.is_empty())
    }

    /// The oldest that wait; `None` when none do.
    pub(super) fn take(&self) -> Option<Batch<'_, T>> {
        let mut state = self.lock();
        let count = state.waiting.len().min(self.pace.batch);
        let items: Vec<T> = state.waiting.drain(..count).collect();
        drop(state);
        (count > 0).then(|| Batch {
            queue: self,
            items,
            count: count as u64,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Counts what waits as lost, by `reason`, and takes no more.
    pub(super) fn abandon(&self, reason: fn(&mut Exported) -> &mut u64) {
        let mut state = self.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        *reason(&mut state.counts) += waiting.len() as u64;
        state.done += waiting.len() as u64;
        drop(state);
        self.settled.notify_all();
    }

    /// Blocks until all that was put in so far is settled, but no longer than that: whether
    /// it is.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let mut state = self.lock();
        let target = state.put;
        state.hurried = target;
        self.due.notify_one();
        let settled = self
            .settled
            .wait_timeout_while(state, within, |state| state.done < target);
        !settled
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .timed_out()
    }

    fn settle(&self, count: u64, account: impl FnOnce(&mut Exported)) {
        let mut state = self.lock();
        state.done += count;
        account(&mut state.counts);
        drop(state);
        self.settled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Flushes a queue for the SDK.
pub(super) fn flushed<T>(queue: &Queue<T>, within: Duration) -> OTelSdkResult {
    if queue.flush(within) {
        return Ok(());
    }
    Err(OTelSdkError::Timeout(within))
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("pace", &self.pace)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

// === impl Batch ===

impl<T> Batch<'_, T> {
    /// What is to be sent, for the first call.
    pub(super) fn items(&mut self) -> Vec<T> {
        std::mem::take(&mut self.items)
    }

    /// The collector has it, but for so many that it did not want.
    pub(super) fn sent(mut self, refused: u64) {
        let count = std::mem::take(&mut self.count);
        let refused = refused.min(count);
        self.queue.settle(count, |counts| {
            counts.sent += count - refused;
            counts.failed += refused;
        });
    }

    /// The collector does not have it, for this reason.
    pub(super) fn lost(mut self, reason: fn(&mut Exported) -> &mut u64) {
        let count = std::mem::take(&mut self.count);
        self.queue.settle(count, |counts| *reason(counts) += count);
    }
}

impl<T> Drop for Batch<'_, T> {
    fn drop(&mut self) {
        let count = self.count;
        if count > 0 {
            self.queue.settle(count, |counts| counts.cut_off += count);
        }
    }
}

#[cfg(test)]
mod tests;
