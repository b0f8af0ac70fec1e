//! The accounts of a pipeline: every delivery, and its one outcome.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{Cause, Histogram, Origin, Outcome, Reason};

/// How many causes of rejections are kept for the report.
const RECENT_CAUSES: usize = 16;
/// How many abandoned messages are listed.
const MAX_LISTED: usize = 100;
/// How many different reasons are counted by name; the rest count as `other`.
const MAX_REASONS: usize = 64;

/// Counts every delivery of a pipeline and its one outcome.
///
/// Whatever settles a message comes by here, so that *emitted = done + retried +
/// rejected + dropped + in flight* holds by construction.
pub struct Ledger {
    emitted: AtomicU64,
    done: AtomicU64,
    retried: AtomicU64,
    rejected: AtomicU64,
    dropped: AtomicU64,
    abandoned: AtomicU64,
    high_water: AtomicU64,
    latency: Histogram,
    reasons: Mutex<BTreeMap<Reason, u64>>,
    recent: Mutex<VecDeque<Cause>>,
    left: Mutex<Vec<Origin>>,
    waiting: AtomicBool,
    waiters: Mutex<Vec<Waker>>,
    emitting: Mutex<()>,
    deadline: Option<Duration>,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// The accounts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Deliveries taken from sources.
    pub emitted: u64,
    /// Fully done.
    pub done: u64,
    /// Given back to the source, the abandoned ones included.
    pub retried: u64,
    /// Rejected for good.
    pub rejected: u64,
    /// Left out on purpose.
    pub dropped: u64,
    /// Given back because nobody settled them: aborted, cancelled or forgotten.
    pub abandoned: u64,
    /// Without an outcome yet.
    pub in_flight: u64,
    /// The most that was ever in flight.
    pub high_water: u64,
}

impl Ledger {
    /// An empty ledger; `clock` tells the time since the pipeline began.
    pub fn new(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self {
            emitted: AtomicU64::new(0),
            done: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            high_water: AtomicU64::new(0),
            latency: Histogram::default(),
            reasons: Mutex::default(),
            recent: Mutex::default(),
            left: Mutex::default(),
            waiting: AtomicBool::new(false),
            waiters: Mutex::default(),
            emitting: Mutex::default(),
            deadline: None,
            clock: Box::new(clock),
        }
    }

    /// Gives each message that long from its receipt to its outcome.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Duration>) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long a message may take from its receipt to its outcome; `None` without a limit.
    #[inline]
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// The time since the pipeline began.
    pub fn now(&self) -> Duration {
        (self.clock)()
    }

    /// From source to settled.
    pub fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// The accounts now. Exact whenever nothing moves meanwhile.
    pub fn counts(&self) -> Counts {
        // Outcomes first: what is settled meanwhile then shows as in flight, never as lost.
        let done = self.done.load(SeqCst);
        let retried = self.retried.load(SeqCst);
        let rejected = self.rejected.load(SeqCst);
        let dropped = self.dropped.load(SeqCst);
        let emitted = self.emitted.load(SeqCst);
        Counts {
            emitted,
            done,
            retried,
            rejected,
            dropped,
            abandoned: self.abandoned.load(SeqCst),
            in_flight: emitted - done - retried - rejected - dropped,
            high_water: self.high_water.load(SeqCst),
        }
    }

    /// Messages without an outcome now.
    pub fn in_flight(&self) -> u64 {
        self.counts().in_flight
    }

    /// Dropped messages by reason.
    pub fn reasons(&self) -> BTreeMap<Reason, u64> {
        lock(&self.reasons).clone()
    }

    /// The latest causes of rejections, oldest first.
    pub fn recent_causes(&self) -> Vec<Cause> {
        lock(&self.recent).iter().cloned().collect()
    }

    /// Where the first abandoned messages came from, a hundred at most.
    pub fn abandoned(&self) -> Vec<Origin> {
        lock(&self.left).clone()
    }

    pub(crate) fn note_abandoned(&self, origin: Origin) {
        let mut left = lock(&self.left);
        if left.len() < MAX_LISTED {
            left.push(origin);
        }
    }

    /// Waits until at most `limit` messages are in flight.
    pub fn poll_at_most(&self, limit: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.in_flight() <= limit {
            return Poll::Ready(());
        }
        self.register(cx.waker());
        // Looked at again after registering: a settlement in between must not be missed.
        if self.in_flight() <= limit {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Runs `emit` with how many messages fit under `budget` now, one source at a time: what
    /// is in flight can only shrink meanwhile, unless `emit` itself adds to it.
    pub fn within_budget<R>(&self, budget: u64, emit: impl FnOnce(u64) -> R) -> R {
        let _one_at_a_time = lock(&self.emitting);
        emit(budget.saturating_sub(self.in_flight()))
    }

    fn register(&self, waker: &Waker) {
        let mut waiters = lock(&self.waiters);
        if !waiters.iter().any(|w| w.will_wake(waker)) {
            waiters.push(waker.clone());
        }
        self.waiting.store(true, SeqCst);
    }

    fn wake(&self) {
        if self.waiting.load(SeqCst) {
            let waiters = {
                let mut waiters = lock(&self.waiters);
                self.waiting.store(false, SeqCst);
                std::mem::take(&mut *waiters)
            };
            waiters.into_iter().for_each(Waker::wake);
        }
    }

    /// Counts deliveries; those that are `sent` are in flight, the others go back at once.
    pub(crate) fn emitted(&self, count: u64, sent: bool) {
        self.emitted.fetch_add(count, SeqCst);
        if sent {
            self.high_water.fetch_max(self.in_flight(), Relaxed);
        }
    }

    pub(crate) fn settled_done(&self, count: u64, took: Duration) {
        self.done.fetch_add(count, SeqCst);
        self.latency.add(took, count);
        self.wake();
    }

    pub(crate) fn settled(&self, outcome: &Outcome, abandoned: bool, took: Duration) {
        match outcome {
            Outcome::Done => return self.settled_done(1, took),
            Outcome::Retry { .. } => {
                self.abandoned.fetch_add(u64::from(abandoned), SeqCst);
                self.retried.fetch_add(1, SeqCst);
            }
            Outcome::Reject(cause) => {
                self.note_cause(cause);
                self.rejected.fetch_add(1, SeqCst);
            }
            Outcome::Drop(reason) => {
                self.note_reason(reason);
                self.dropped.fetch_add(1, SeqCst);
            }
        }
        self.wake();
    }

    fn note_cause(&self, cause: &Cause) {
        let mut recent = lock(&self.recent);
        if recent.len() == RECENT_CAUSES {
            recent.pop_front();
        }
        recent.push_back(cause.clone());
    }

    fn note_reason(&self, reason: &Reason) {
        let mut reasons = lock(&self.reasons);
        if let Some(count) = reasons.get_mut(reason) {
            *count += 1;
        } else if reasons.len() < MAX_REASONS {
            reasons.insert(reason.clone(), 1);
        } else {
            *reasons.entry(Reason::new("other")).or_default() += 1;
        }
    }
}

/// Locks, whatever a panicking holder left: the data are counters, whole at any time.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ledger").field(&self.counts()).finish()
    }
}
