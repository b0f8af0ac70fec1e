//! What waits to be delivered again, and what may come to wait.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use towpath_core::{Delivery, Headers, Origin};

use super::RedeliverToken;

/// A delay without an end: about 30 years.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Shared by the source, which takes out what is due, and its acknowledger, which puts
/// in what was given back.
pub(super) struct Parking<P, T> {
    state: Mutex<State<P, T>>,
    tally: Arc<Tally>,
}

struct State<P, T> {
    /// By when it is due, and in the order in which it was given back.
    parked: BTreeMap<(Instant, u64), Ready<P, T>>,
    order: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct Tally {
    kept: AtomicUsize,
    given_up: AtomicU64,
    /// Something was parked, or nothing is kept any more.
    changed: Notify,
}

/// A message that can be handed out.
pub(super) struct Ready<P, T> {
    pub(super) token: T,
    pub(super) kept: Kept<P>,
}

/// What is kept of a message until it is settled.
pub(super) struct Kept<P> {
    pub(super) payload: P,
    origin: Origin,
    /// The number of the attempt that its next delivery begins with, from 1.
    pub(super) attempt: u32,
    _counted: Counted,
}

/// Counts a message as kept, until it is dropped.
struct Counted(Arc<Tally>);

/// Counts the messages that [`Redeliver`](super::Redeliver) gave back to the wrapped
/// source to be retried: those that failed on their last attempt, or during a drain.
#[derive(Clone, Debug)]
pub struct GivenUp(Arc<Tally>);

// === impl Parking ===

impl<P, T> Parking<P, T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                parked: BTreeMap::new(),
                order: 0,
                closed: false,
            }),
            tally: Arc::default(),
        }
    }

    /// Keeps a message that comes for the first time.
    pub(super) fn keep(&self, payload: P, origin: Origin) -> Kept<P> {
        self.tally.kept.fetch_add(1, Relaxed);
        let attempt = origin.attempt.max(1);
        Kept {
            payload,
            origin: origin.attempt(attempt),
            attempt: 1,
            _counted: Counted(self.tally.clone()),
        }
    }

    /// Parks a message for `after`; returns it if nothing is parked any more.
    pub(super) fn park(&self, ready: Ready<P, T>, after: Duration) -> Result<(), Ready<P, T>> {
        let now = Instant::now();
        let due = now.checked_add(after).unwrap_or(now + FAR);
        let mut state = self.lock();
        if state.closed {
            return Err(ready);
        }
        let place = (due, state.order);
        state.order += 1;
        state.parked.insert(place, ready);
        drop(state);
        self.tally.changed.notify_one();
        Ok(())
    }

    /// Takes up to `count` messages that are due.
    pub(super) fn take_due(&self, count: usize, into: &mut VecDeque<Ready<P, T>>) {
        let mut state = self.lock();
        for _ in 0..count {
            match state.parked.first_entry() {
                Some(first) if first.key().0 <= Instant::now() => into.push_back(first.remove()),
                _ => break,
            }
        }
    }

    /// Takes all messages, and parks none from now on.
    pub(super) fn close(&self, into: &mut VecDeque<Ready<P, T>>) {
        let mut state = self.lock();
        state.closed = true;
        into.extend(std::mem::take(&mut state.parked).into_values());
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let state = self.lock();
        state.parked.first_key_value().map(|((due, _), _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().parked.len()
    }

    pub(super) fn nothing_is_kept(&self) -> bool {
        self.tally.kept.load(Acquire) == 0
    }

    /// Waits until a message was parked, or none is kept any more.
    pub(super) async fn changed(&self) {
        self.tally.changed.notified().await;
    }

    pub(super) fn gave_up(&self) {
        self.tally.given_up.fetch_add(1, Relaxed);
    }

    pub(super) fn given_up(&self) -> GivenUp {
        GivenUp(self.tally.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State<P, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Ready ===

impl<P, T> Ready<P, T> {
    /// Hands out the copy and keeps the message, or hands out the message for good.
    pub(super) fn deliver(self, copy: Option<P>) -> Delivery<P, RedeliverToken<P, T>> {
        let Self { token, kept } = self;
        let origin = kept.origin.clone();
        let delivery = match copy {
            Some(copy) => Delivery::new(copy, RedeliverToken::kept(token, kept)),
            None => Delivery::new(kept.payload, RedeliverToken::last(token)),
        };
        delivery.with_origin(origin)
    }
}

// === impl Kept ===

impl<P> Kept<P> {
    /// Goes on with the trace of its delivery, where that was traced.
    pub(super) fn traced(mut self, trace: Option<&Headers>) -> Self {
        if let Some(trace) = trace {
            self.origin.headers = self.origin.headers.updated(trace);
        }
        self
    }

    /// Counts the attempts that its delivery came to.
    pub(super) fn tried(mut self, attempts: u32) -> Self {
        let attempt = self.origin.attempt.saturating_add(attempts);
        self.origin = self.origin.attempt(attempt);
        self.attempt = self.attempt.saturating_add(attempts);
        self
    }
}

// === impl Counted ===

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.kept.fetch_sub(1, AcqRel) == 1 {
            self.0.changed.notify_one();
        }
    }
}

// === impl GivenUp ===

impl GivenUp {
    /// How many so far.
    pub fn count(&self) -> u64 {
        self.0.given_up.load(Relaxed)
    }
}

impl<P> fmt::Debug for Kept<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
