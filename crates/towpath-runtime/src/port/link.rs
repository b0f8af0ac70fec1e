//! The ends of a link as the ports of workers.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use towpath_core::{Inlet, Ledger, Outlet, StageStats, Timing};
use towpath_link::{Chunk, Receiver, Sender};

/// Takes chunks; what a worker cannot start goes back for the others.
pub(crate) struct LinkInlet<I> {
    receiver: Receiver<I>,
    /// Held until the next fill, emptied or not: the inbox is part of the link's bound.
    chunk: Option<Chunk<I>>,
    /// Whether others take from the same link. A single worker keeps what it has, in order.
    shared: bool,
    meter: Option<Meter>,
}

/// What the stage behind a link sees of it.
struct Meter {
    stats: Arc<StageStats>,
    /// The clock, where the stage is timed.
    ledger: Option<Arc<Ledger>>,
    /// Items of the chunk and the inbox that count as waiting.
    waiting: usize,
    /// Items in the inbox whose time in the queue is not known yet.
    given: usize,
    /// When they were sent, and when they were taken; `None` since a worker has kept some.
    sent_at: Duration,
    taken_at: Option<Duration>,
}

// === impl Meter ===

impl Meter {
    fn new(stats: Arc<StageStats>, ledger: &Arc<Ledger>) -> Self {
        let ledger = (stats.timing() != Timing::Off).then(|| ledger.clone());
        Self {
            stats,
            ledger,
            waiting: 0,
            given: 0,
            sent_at: Duration::ZERO,
            taken_at: None,
        }
    }

    fn set_waiting(&mut self, waiting: usize) {
        self.stats.set_in_hand(self.waiting, waiting);
        self.waiting = waiting;
    }

    /// Items were taken out of a chunk, of which `left` are left.
    fn took(&mut self, count: usize, left: usize, mark: u64) {
        self.set_waiting(left);
        if let Some(ledger) = &self.ledger {
            self.given += count;
            self.sent_at = Duration::from_nanos(mark);
            self.taken_at = Some(ledger.now());
        }
    }

    /// All but `kept` of the items that were given are begun.
    #[inline]
    fn begun(&mut self, kept: usize) {
        // Nothing is given where nothing is timed.
        if self.given > kept {
            self.count_begun(kept);
        }
    }

    fn count_begun(&mut self, kept: usize) {
        let begun = self.given - kept;
        self.given = kept;
        if let Some(ledger) = &self.ledger {
            let at = self.taken_at.unwrap_or_else(|| ledger.now());
            let waited = at.saturating_sub(self.sent_at);
            self.stats.add_queue_time(waited, begun as u64);
        }
    }
}

impl Drop for Meter {
    /// What is in hand goes back to its source, or into the link.
    fn drop(&mut self) {
        self.set_waiting(0);
    }
}

// === impl LinkInlet ===

impl<I> LinkInlet<I> {
    pub(crate) fn new(receiver: Receiver<I>, shared: bool) -> Self {
        Self {
            receiver,
            chunk: None,
            shared,
            meter: None,
        }
    }

    /// As the inlet of a stage that counts what waits before it.
    pub(crate) fn metered(mut self, stats: Arc<StageStats>, ledger: &Arc<Ledger>) -> Self {
        self.meter = Some(Meter::new(stats, ledger));
        self
    }
}

impl<I: Send> Inlet<I> for LinkInlet<I> {
    fn poll_fill(
        &mut self,
        want: usize,
        inbox: &mut VecDeque<I>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        if let Some(meter) = &mut self.meter {
            meter.begun(inbox.len());
        }
        if self.chunk.as_ref().is_none_or(Chunk::is_empty) {
            self.chunk = None;
            self.chunk = ready!(self.receiver.poll_recv(cx));
        }
        let Some(chunk) = &mut self.chunk else {
            return Poll::Ready(false);
        };
        let before = chunk.len();
        if want >= before && inbox.is_empty() {
            chunk.swap(inbox);
        } else {
            inbox.extend(chunk.drain_front(want.max(1)));
        }
        if let Some(meter) = &mut self.meter {
            let left = chunk.len();
            meter.took(before - left, left, chunk.mark());
        }
        Poll::Ready(true)
    }

    fn offer_back(&mut self, inbox: &mut VecDeque<I>) {
        if !self.shared {
            return;
        }
        let Some(mut chunk) = self.chunk.take() else {
            return;
        };
        let before = inbox.len();
        // With an empty inbox, as is usual, the rest is in its chunk already.
        if !inbox.is_empty() {
            inbox.extend(chunk.drain());
            while let Some(item) = inbox.pop_front() {
                if let Err(item) = chunk.push(item) {
                    inbox.push_front(item);
                    break;
                }
            }
        }
        if let Some(meter) = &mut self.meter {
            // What goes back is taken once more: its time is not over yet.
            meter.begun(before);
            meter.given = meter.given.min(inbox.len());
            meter.set_waiting(inbox.len());
        }
        self.receiver.offer_back(chunk);
    }

    fn offer_rest(&mut self, inbox: &mut VecDeque<I>) {
        let has_rest = self.chunk.as_ref().is_some_and(|chunk| !chunk.is_empty());
        if has_rest || !inbox.is_empty() {
            self.offer_back(inbox);
        }
    }

    fn stop_waiting(&mut self) {
        self.receiver.stop_waiting();
    }

    fn keeps(&mut self, count: usize) {
        let in_chunk = self.chunk.as_ref().map_or(0, Chunk::len);
        if let Some(meter) = &mut self.meter {
            meter.begun(count);
            meter.taken_at = None;
            meter.set_waiting(in_chunk + count);
        }
    }
}

/// Fills chunks; sends one when it is full, or when the worker has no more for now.
pub(crate) struct LinkOutlet<I> {
    sender: Sender<I>,
    chunk: Option<Chunk<I>>,
    /// The clock, where somebody wants to know how long chunks wait.
    clock: Option<Arc<Ledger>>,
}

impl<I> LinkOutlet<I> {
    pub(crate) fn new(sender: Sender<I>) -> Self {
        Self {
            sender,
            chunk: None,
            clock: None,
        }
    }

    /// Marks chunks with the time when they are sent.
    pub(crate) fn stamped(mut self, clock: Option<Arc<Ledger>>) -> Self {
        self.clock = clock;
        self
    }

    fn send_full(&mut self) {
        if self.chunk.as_ref().is_some_and(|chunk| chunk.room() == 0) {
            self.send();
        }
    }

    fn send(&mut self) {
        if let Some(mut chunk) = self.chunk.take() {
            if let Some(clock) = &self.clock {
                chunk.set_mark(u64::try_from(clock.now().as_nanos()).unwrap_or(u64::MAX));
            }
            self.sender.send(chunk);
        }
    }
}

impl<I: Send> Outlet<I> for LinkOutlet<I> {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        self.send_full();
        if self.chunk.is_none() {
            self.chunk = ready!(self.sender.poll_chunk(cx));
        }
        Poll::Ready(self.chunk.as_ref().map_or(0, Chunk::room))
    }

    fn accept(&mut self, items: &mut VecDeque<I>) {
        while !items.is_empty() {
            self.send_full();
            if self.chunk.is_none() {
                self.chunk = self.sender.try_chunk();
            }
            let Some(chunk) = &mut self.chunk else {
                return;
            };
            if chunk.is_empty() && chunk.swap(items) {
                return;
            }
            while chunk.room() > 0
                && let Some(item) = items.pop_front()
            {
                // There is room: the chunk takes it.
                drop(chunk.push(item));
            }
        }
    }

    fn flush(&mut self) {
        if self.chunk.as_ref().is_some_and(|chunk| !chunk.is_empty()) {
            self.send();
        }
    }
}
