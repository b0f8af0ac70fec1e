//! Permits: how many calls run, and who waits for one.

use std::task::{Poll, Waker};

use crate::{
    line::{Line, Place},
    sync::{AtomicU64, Ordering},
};

#[cfg(all(test, not(shuttle)))]
mod tests;

/// Counts the calls that run and holds the others in line; the limit changes live.
#[derive(Debug)]
pub(crate) struct Permits {
    /// The limit above how many are in use, in one word: a limit that was lowered binds
    /// whoever takes after that. Sequentially consistent throughout, like the line, so that
    /// whoever gives back sees who waits, or is seen by them, without a fence.
    word: AtomicU64,
    line: Line,
}

/// What the word of [`Permits`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    limit: u32,
    in_use: u32,
}

// === impl Permits ===

impl Permits {
    /// With a limit of 0, nothing runs until it is raised.
    pub(crate) fn new(limit: usize) -> Self {
        let count = Count {
            limit: narrow(limit),
            in_use: 0,
        };
        Self {
            word: AtomicU64::new(count.pack()),
            line: Line::default(),
        }
    }

    /// Takes a permit, which [`release`](Self::release) gives back, or a place in the line.
    ///
    /// The place is not in the line any more when this is ready.
    #[inline]
    pub(crate) fn poll_acquire(&self, place: &mut Place, waker: &Waker) -> Poll<()> {
        if !place.is_waiting() && self.line.is_empty() && self.try_take() {
            return Poll::Ready(());
        }
        self.poll_in_line(place, waker)
    }

    /// Stops waiting.
    #[inline]
    pub(crate) fn leave(&self, place: &mut Place) {
        if place.is_waiting() {
            self.step_out(place);
        }
    }

    /// Gives one back, and wakes the first in the line if it can have it.
    #[inline]
    pub(crate) fn release(&self) {
        let before = Count::unpack(self.word.fetch_sub(1, Ordering::SeqCst));
        debug_assert!(before.in_use > 0, "more was given back than taken");
        if before.in_use <= before.limit {
            self.wake_first();
        }
    }

    /// From now on so many may run. Above a lower limit, those that run already end in peace.
    pub(crate) fn set_limit(&self, limit: usize) {
        let limit = narrow(limit);
        self.update(|count| Some(Count { limit, ..count }));
        self.wake_if_room();
    }

    pub(crate) fn limit(&self) -> usize {
        self.count().limit as usize
    }

    /// How many run: more than the limit for a while after that was lowered.
    #[inline]
    pub(crate) fn in_use(&self) -> usize {
        self.count().in_use as usize
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
    }

    #[cold]
    fn poll_in_line(&self, place: &mut Place, waker: &Waker) -> Poll<()> {
        if !self.line.join(place, waker) || !self.try_take() {
            return Poll::Pending;
        }
        self.step_out(place);
        Poll::Ready(())
    }

    /// Who is next is woken only when there is something for it: under load, a second
    /// wake-up for each call otherwise.
    #[cold]
    fn step_out(&self, place: &mut Place) {
        self.line.step_out(place);
        self.wake_if_room();
    }

    fn wake_if_room(&self) {
        if self.count().has_room() {
            self.wake_first();
        }
    }

    #[inline]
    fn wake_first(&self) {
        if !self.line.is_empty() {
            self.line.wake_first();
        }
    }

    #[inline]
    fn try_take(&self) -> bool {
        self.update(Count::one_more)
    }

    #[inline]
    fn update(&self, change: impl Fn(Count) -> Option<Count>) -> bool {
        let change = |word| change(Count::unpack(word)).map(Count::pack);
        let order = Ordering::SeqCst;
        self.word.fetch_update(order, order, change).is_ok()
    }

    #[inline]
    fn count(&self) -> Count {
        Count::unpack(self.word.load(Ordering::SeqCst))
    }
}

/// Nobody runs more than four thousand million calls.
fn narrow(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

// === impl Count ===

impl Count {
    #[inline]
    fn pack(self) -> u64 {
        u64::from(self.limit) << 32 | u64::from(self.in_use)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    fn unpack(word: u64) -> Self {
        Self {
            limit: (word >> 32) as u32,
            in_use: word as u32,
        }
    }

    #[inline]
    fn has_room(self) -> bool {
        self.in_use < self.limit
    }

    #[inline]
    fn one_more(self) -> Option<Self> {
        self.has_room().then(|| Self {
            in_use: self.in_use + 1,
            ..self
        })
    }
}
