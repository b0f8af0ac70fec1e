//! A line of waiters: first come, first served.
//!
//! A waiter keeps its place until it leaves, whether it got what it came for or gave up:
//! a wake-up is never handed to somebody who may not come. Newcomers take without
//! queueing only while the line is empty, so nobody is overtaken.

use std::{collections::BTreeMap, mem, num::NonZeroU64, sync::PoisonError, task::Waker};

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, fence};

#[cfg(all(test, not(shuttle)))]
mod tests;

/// Waits with: loop { if joined first, and it can be taken, leave; otherwise pending }.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The ticket that is served next, or [`NOBODY`]: neither looking at an empty line nor
    /// waking nobody takes a lock.
    first: AtomicU64,
    /// Wakers run foreign code when cloned, called or dropped: not under this lock.
    queue: Mutex<Queue>,
}

/// A place in one line, or nowhere. Its owner leaves the line before it drops this:
/// a place that is forgotten holds up all behind it.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<NonZeroU64>);

/// No ticket has this number.
const NOBODY: u64 = 0;

/// Who waits, in the order of the tickets, which are never given twice.
#[derive(Debug, Default)]
struct Queue {
    issued: u64,
    /// A place without a waker was woken, and has not looked since.
    waiting: BTreeMap<NonZeroU64, Option<Waker>>,
}

// === impl Place ===

impl Place {
    /// Whether it is in the line.
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.is_some()
    }
}

// === impl Line ===

impl Line {
    /// Whether nobody waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.load(Ordering::SeqCst) == NOBODY
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Joins at the end, or renews the waker; true when the place is the first.
    ///
    /// Look for what the wait is for after this, not before: what came before wakes nobody.
    pub(crate) fn join(&self, place: &mut Place, waker: &Waker) -> bool {
        if let Some(ticket) = place.0
            && self.lock().waits_with(ticket, waker)
        {
            return self.serves(ticket);
        }
        let waker = waker.clone();
        let (ticket, replaced) = self.change(|queue| queue.join(place.0, waker));
        place.0 = Some(ticket);
        drop(replaced);
        // Pairs with the fence of `wake_first`: it sees us, or we see its reason.
        fence(Ordering::SeqCst);
        self.serves(ticket)
    }

    /// Leaves the line; if it was the first, wakes the next. Nothing when not in it.
    #[inline]
    pub(crate) fn leave(&self, place: &mut Place) {
        if let Some(ticket) = place.0.take() {
            self.withdraw(ticket, Queue::take_first_waker);
        }
    }

    /// Leaves the line and wakes nobody: whoever does this then looks whether there is
    /// more, and wakes the first if so.
    #[inline]
    pub(crate) fn step_out(&self, place: &mut Place) {
        if let Some(ticket) = place.0.take() {
            self.withdraw(ticket, |_| None);
        }
    }

    /// Wakes the first, which stays in the line. The reason must be there to be seen already.
    #[inline]
    pub(crate) fn wake_first(&self) {
        fence(Ordering::SeqCst);
        if self.is_empty() {
            return;
        }
        let first = self.lock().take_first_waker();
        wake(first);
    }

    /// Wakes all, which stay in the line. The reason must be there to be seen already.
    pub(crate) fn wake_all(&self) {
        fence(Ordering::SeqCst);
        if self.is_empty() {
            return;
        }
        let all = self.lock().take_wakers();
        all.into_iter().for_each(Waker::wake);
    }

    /// `next` chooses whom to wake when the one that leaves was the first.
    fn withdraw(&self, ticket: NonZeroU64, next: fn(&mut Queue) -> Option<Waker>) {
        let (own, next) = self.change(|queue| {
            let was_first = queue.first() == ticket.get();
            let own = queue.waiting.remove(&ticket).flatten();
            (own, was_first.then(|| next(queue)).flatten())
        });
        wake(next);
        drop(own);
    }

    fn serves(&self, ticket: NonZeroU64) -> bool {
        self.first.load(Ordering::SeqCst) == ticket.get()
    }

    fn change<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut queue = self.lock();
        let result = change(&mut queue);
        self.first.store(queue.first(), Ordering::SeqCst);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

// === impl Queue ===

impl Queue {
    fn first(&self) -> u64 {
        let first = self.waiting.first_key_value();
        first.map_or(NOBODY, |(ticket, _)| ticket.get())
    }

    fn waits_with(&self, ticket: NonZeroU64, waker: &Waker) -> bool {
        let known = self.waiting.get(&ticket).and_then(Option::as_ref);
        known.is_some_and(|known| known.will_wake(waker))
    }

    /// The ticket, and the waker that was replaced.
    fn join(&mut self, ticket: Option<NonZeroU64>, waker: Waker) -> (NonZeroU64, Option<Waker>) {
        let ticket = ticket.unwrap_or_else(|| self.issue());
        let replaced = self.waiting.insert(ticket, Some(waker)).flatten();
        (ticket, replaced)
    }

    fn issue(&mut self) -> NonZeroU64 {
        let next = NonZeroU64::MIN.saturating_add(self.issued);
        self.issued += 1;
        next
    }

    fn take_first_waker(&mut self) -> Option<Waker> {
        self.waiting.first_entry()?.get_mut().take()
    }

    fn take_wakers(&mut self) -> Vec<Waker> {
        self.waiting.values_mut().filter_map(mem::take).collect()
    }
}
