//! The messages that were pushed and not yet received.

use std::{
    collections::VecDeque,
    fmt,
    num::NonZeroUsize,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::{Notify, Semaphore};
use towpath_core::{Delivery, Intake, Outcome, Reason, Received};

use super::{IngressToken, Overflow, PushError};

/// A bounded queue between those who push and the one source that receives.
///
/// The lock decides about everything; it is held for no user code and over no await.
/// The semaphore has a permit for each free place, and only [`Overflow::Wait`] uses it:
/// it lets pushers wait in the order in which they came.
pub(super) struct Queue<P> {
    state: Mutex<State<P>>,
    places: Semaphore,
    pushed: Notify,
    capacity: usize,
    overflow: Overflow,
    dropped: AtomicU64,
    abandoned: AtomicU64,
}

struct State<P> {
    entries: VecDeque<Entry<P>>,
    closed: bool,
}

pub(super) struct Entry<P> {
    payload: P,
    token: IngressToken,
}

impl<P> Entry<P> {
    pub(super) fn new(payload: P, token: IngressToken) -> Self {
        Self { payload, token }
    }
}

impl<P> Queue<P> {
    pub(super) fn new(capacity: NonZeroUsize, overflow: Overflow) -> Self {
        let capacity = capacity.get().min(Semaphore::MAX_PERMITS);
        Self {
            state: Mutex::new(State {
                entries: VecDeque::new(),
                closed: false,
            }),
            places: Semaphore::new(capacity),
            pushed: Notify::new(),
            capacity,
            overflow,
            dropped: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
        }
    }

    pub(super) async fn push(&self, entry: Entry<P>) -> Result<(), PushError<P>> {
        if self.overflow != Overflow::Wait {
            return self.try_push(entry);
        }
        let Ok(place) = self.places.acquire().await else {
            return Err(PushError::Stopped(entry.payload));
        };
        self.place(entry)?;
        place.forget();
        Ok(())
    }

    pub(super) fn try_push(&self, entry: Entry<P>) -> Result<(), PushError<P>> {
        if self.overflow != Overflow::Wait {
            return self.place(entry);
        }
        // A free place may be promised to somebody who waits for one.
        match self.places.try_acquire() {
            Ok(place) => {
                self.place(entry)?;
                place.forget();
                Ok(())
            }
            Err(_) if self.is_closed() => Err(PushError::Stopped(entry.payload)),
            Err(_) => Err(PushError::QueueFull(entry.payload)),
        }
    }

    fn place(&self, entry: Entry<P>) -> Result<(), PushError<P>> {
        let mut state = self.lock();
        if state.closed {
            return Err(PushError::Stopped(entry.payload));
        }
        let mut overflowed = None;
        if state.entries.len() < self.capacity {
            state.entries.push_back(entry);
        } else {
            match self.overflow {
                Overflow::Wait | Overflow::Reject => {
                    return Err(PushError::QueueFull(entry.payload));
                }
                Overflow::DropNewest => overflowed = Some(entry),
                Overflow::DropOldest => {
                    overflowed = state.entries.pop_front();
                    state.entries.push_back(entry);
                }
            }
        }
        drop(state);
        self.pushed.notify_one();
        self.drop_overflowed(overflowed);
        Ok(())
    }

    fn drop_overflowed(&self, overflowed: Option<Entry<P>>) {
        if let Some(entry) = overflowed {
            self.dropped.fetch_add(1, Relaxed);
            entry.token.tell(Outcome::Drop(Reason::new("overflow")));
        }
    }

    /// Hands out up to the room of `intake`; `None` when there is nothing yet.
    pub(super) fn take(&self, intake: &mut Intake<P, IngressToken>) -> Option<Received> {
        let room = intake.room();
        let (taken, over) = self.take_up_to(room, intake);
        if over {
            return Some(Received::End);
        }
        (taken > 0 || room == 0).then_some(Received::More)
    }

    /// Hands out everything.
    pub(super) fn take_all(&self, intake: &mut Intake<P, IngressToken>) {
        self.take_up_to(usize::MAX, intake);
    }

    fn take_up_to(&self, count: usize, intake: &mut Intake<P, IngressToken>) -> (usize, bool) {
        let mut state = self.lock();
        let count = count.min(state.entries.len());
        for Entry { payload, token } in state.entries.drain(..count) {
            intake.push(Delivery::new(payload, token));
        }
        let over = state.closed && state.entries.is_empty();
        drop(state);
        self.free(count);
        (count, over)
    }

    fn free(&self, count: usize) {
        if self.overflow == Overflow::Wait {
            self.places.add_permits(count);
        }
    }

    /// Waits until something was pushed, or the queue was closed, since the last call.
    pub(super) async fn pushed(&self) {
        self.pushed.notified().await;
    }

    /// Takes no more messages.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.places.close();
        self.pushed.notify_one();
    }

    /// Gives back what nobody will receive any more.
    pub(super) fn abandon(&self) {
        let left = std::mem::take(&mut self.lock().entries);
        self.abandoned.fetch_add(left.len() as u64, Relaxed);
        for entry in left {
            entry.token.tell(Outcome::retry());
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub(super) fn abandoned(&self) -> u64 {
        self.abandoned.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P> fmt::Debug for Queue<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .field("overflow", &self.overflow)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
