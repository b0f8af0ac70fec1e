//! The window that the rates are taken over: a ring of buckets, the oldest of which is
//! emptied to become the newest.
//!
//! Calls are counted without a lock; failed and slow ones are, besides, under the lock of
//! the breaker, where buckets change too. A call that is counted just while its bucket
//! becomes the newest counts there: late, but once.

use tokio::time::Instant;

use super::options::Extent;
use crate::{
    apart::Apart,
    sync::{AtomicU64, Ordering},
};

/// The buckets of a window that has enough to divide. A count window has up to twice as many,
/// so that it never holds more calls than it should.
const TENTHS: u64 = 10;

/// How many bits of the cursor say which slot; the rest is the number of the bucket.
const SLOT_BITS: u32 = 5;

/// Room for all buckets.
const SLOTS: usize = 1 << SLOT_BITS;

#[derive(Debug)]
pub(super) struct Window {
    slide: Slide,
    slots: u64,
    /// The newest bucket. Changes under the lock of the breaker.
    cursor: AtomicU64,
    calls: Apart<[AtomicU64; SLOTS]>,
}

/// When a bucket is over.
#[derive(Debug)]
enum Slide {
    Time { from: Instant, nanos: u64 },
    Calls { each: u64 },
}

/// The newest bucket: its number since the beginning, and its place in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    bucket: u64,
    slot: usize,
}

/// What is counted under the lock of the breaker.
#[derive(Debug, Default)]
pub(super) struct Tally {
    failed: [u64; SLOTS],
    slow: [u64; SLOTS],
    /// A count window was full once, so that it need not be again to be judged.
    wrapped: bool,
}

/// A call that counts as more than a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bad {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// What is in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) slow: u64,
    pub(super) wrapped: bool,
}

// === impl Window ===

impl Window {
    pub(super) fn new(extent: Extent, now: Instant) -> Self {
        let (slide, slots) = match extent {
            Extent::Time(time) => {
                let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                let nanos = (nanos / TENTHS).max(1);
                (Slide::Time { from: now, nanos }, TENTHS)
            }
            Extent::Calls(calls) => {
                let calls = u64::from(calls).max(1);
                let each = (calls / TENTHS).max(1);
                (Slide::Calls { each }, calls / each)
            }
        };
        Self {
            slide,
            slots,
            cursor: AtomicU64::new(0),
            calls: Apart(std::array::from_fn(|_| AtomicU64::new(0))),
        }
    }

    /// Counts a call, unless a new bucket must be begun first: that takes the lock.
    #[inline]
    pub(super) fn try_count(&self, now: Instant) -> bool {
        let cursor = self.cursor();
        let is_free = !self.is_over(cursor, now);
        if is_free {
            self.count_at(cursor);
        }
        is_free
    }

    /// Counts a call under the lock.
    pub(super) fn count(&self, tally: &mut Tally, bad: Bad, now: Instant) {
        self.slide_to(tally, now);
        let cursor = self.cursor();
        self.count_at(cursor);
        tally.failed[cursor.slot] += u64::from(bad.failed);
        tally.slow[cursor.slot] += u64::from(bad.slow);
    }

    /// What the window holds now.
    pub(super) fn totals(&self, tally: &mut Tally, now: Instant) -> Totals {
        if let Slide::Time { .. } = self.slide {
            self.slide_to(tally, now);
        }
        Totals {
            calls: self.calls.0.iter().map(|c| c.load(Ordering::Relaxed)).sum(),
            failed: tally.failed.iter().sum(),
            slow: tally.slow.iter().sum(),
            wrapped: tally.wrapped,
        }
    }

    /// Forgets all calls.
    pub(super) fn clear(&self, tally: &mut Tally) {
        *tally = Tally::default();
        for calls in &self.calls.0 {
            calls.store(0, Ordering::Relaxed);
        }
    }

    /// Begins new buckets until the newest is not over.
    fn slide_to(&self, tally: &mut Tally, now: Instant) {
        let cursor = self.cursor();
        if !self.is_over(cursor, now) {
            return;
        }
        let steps = match &self.slide {
            Slide::Time { from, nanos } => {
                (nanos_since(*from, now) / nanos).saturating_sub(cursor.bucket)
            }
            Slide::Calls { .. } => 1,
        };
        for step in 1..=steps.min(self.slots) {
            self.empty(tally, cursor.next(step, self.slots).slot);
        }
        // Those who see the new cursor find its bucket empty.
        let next = cursor.next(steps, self.slots);
        self.cursor.store(next.word(), Ordering::Release);
    }

    fn empty(&self, tally: &mut Tally, slot: usize) {
        let forgotten = self.calls.0[slot].swap(0, Ordering::Relaxed);
        tally.failed[slot] = 0;
        tally.slow[slot] = 0;
        tally.wrapped |= forgotten > 0 && matches!(self.slide, Slide::Calls { .. });
    }

    #[inline]
    fn is_over(&self, cursor: Cursor, now: Instant) -> bool {
        match &self.slide {
            // A clock that was read before the bucket began counts in it.
            Slide::Time { from, nanos } => {
                let begun = cursor.bucket * nanos;
                nanos_since(*from, now).saturating_sub(begun) >= *nanos
            }
            Slide::Calls { each } => self.calls.0[cursor.slot].load(Ordering::Relaxed) >= *each,
        }
    }

    #[inline]
    fn cursor(&self) -> Cursor {
        Cursor::of(self.cursor.load(Ordering::Acquire))
    }

    #[inline]
    fn count_at(&self, cursor: Cursor) {
        self.calls.0[cursor.slot].fetch_add(1, Ordering::Relaxed);
    }
}

/// Wraps after 584 years.
#[inline]
fn nanos_since(from: Instant, now: Instant) -> u64 {
    let since = now.saturating_duration_since(from);
    let whole = since.as_secs().wrapping_mul(1_000_000_000);
    whole.wrapping_add(since.subsec_nanos().into())
}

// === impl Cursor ===

impl Cursor {
    #[inline]
    fn of(word: u64) -> Self {
        let slot = word & ((1 << SLOT_BITS) - 1);
        Self {
            bucket: word >> SLOT_BITS,
            slot: usize::try_from(slot).unwrap_or(0),
        }
    }

    fn word(self) -> u64 {
        let slot = u64::try_from(self.slot).unwrap_or(0);
        (self.bucket << SLOT_BITS) | slot
    }

    fn next(self, steps: u64, slots: u64) -> Self {
        let at = u64::try_from(self.slot).unwrap_or(0) + steps % slots;
        Self {
            bucket: self.bucket + steps,
            slot: usize::try_from(at % slots).unwrap_or(0),
        }
    }
}

// === impl Totals ===

impl Totals {
    pub(super) fn failure_rate(self) -> f64 {
        part(self.failed, self.calls)
    }

    pub(super) fn slow_rate(self) -> f64 {
        part(self.slow, self.calls)
    }
}

#[expect(clippy::cast_precision_loss, reason = "no rate is that exact")]
fn part(some: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    some as f64 / all as f64
}
