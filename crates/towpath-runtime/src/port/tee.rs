//! Copies each message to several branches; acknowledged when the required ones have.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, ready},
};

use towpath_core::{FailureRoute, Message, Outlet, Receipt, StageStats};

/// Copies each message to every branch.
pub(crate) struct Tee<T> {
    copies: Vec<Copy<T>>,
    /// The clones of the message at hand; kept for its capacity.
    clones: Vec<T>,
    failures: FailureRoute,
}

/// One branch of a tee.
pub(crate) struct Copy<T> {
    pub(crate) outlet: Box<dyn Outlet<Message<T>>>,
    /// A best-effort branch without room loses its copy, and nobody waits for it.
    pub(crate) required: bool,
    pub(crate) stats: Arc<StageStats>,
    pub(crate) room: usize,
    pub(crate) queue: VecDeque<Message<T>>,
}

impl<T: Clone> Tee<T> {
    pub(crate) fn new(copies: Vec<Copy<T>>, failures: FailureRoute) -> Self {
        Self {
            copies,
            clones: Vec::new(),
            failures,
        }
    }

    /// Whether the message was copied; one that cannot be has failed.
    fn copy(&mut self, message: Message<T>) -> bool {
        let (payload, receipt) = message.into_parts();
        let more = self.copies.len().saturating_sub(1);
        let clones = &mut self.clones;
        let cloning = AssertUnwindSafe(|| clones.extend((0..more).map(|_| payload.clone())));
        if let Err(panic) = catch_unwind(cloning) {
            self.clones.clear();
            self.failures.panicked(receipt, panic);
            return false;
        }
        let split = receipt.share();
        let payloads = self.clones.drain(..).chain(std::iter::once(payload));
        for (copy, payload) in self.copies.iter_mut().zip(payloads) {
            if copy.required {
                copy.queue.push_back(Message::new(payload, split.part()));
            } else {
                copy.offer(payload);
            }
        }
        true
    }
}

impl<T> Copy<T> {
    fn make_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            self.room = match self.outlet.poll_room(cx) {
                Poll::Ready(0) => {
                    self.queue.clear();
                    usize::MAX
                }
                Poll::Ready(room) => room,
                Poll::Pending => {
                    self.room = 0;
                    return Poll::Pending;
                }
            };
            if self.queue.is_empty() {
                return Poll::Ready(self.room);
            }
            self.outlet.accept(&mut self.queue);
        }
    }

    fn offer(&mut self, payload: T) {
        if self.queue.len() < self.room {
            self.queue
                .push_back(Message::new(payload, Receipt::detached()));
        } else {
            self.stats.add_lost_copies(1);
        }
    }
}

impl<T: Clone + Send> Outlet<Message<T>> for Tee<T> {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        ready!(self.failures.poll_clear(cx));
        let mut least = usize::MAX;
        let mut waiting = false;
        for copy in &mut self.copies {
            match copy.make_room(cx) {
                Poll::Ready(room) if copy.required => least = least.min(room),
                Poll::Pending if copy.required => waiting = true,
                _ => {}
            }
        }
        if waiting {
            return Poll::Pending;
        }
        Poll::Ready(least)
    }

    fn accept(&mut self, items: &mut VecDeque<Message<T>>) {
        self.failures.stats().add_received(items.len());
        let mut copied = 0;
        while let Some(message) = items.pop_front() {
            copied += usize::from(self.copy(message));
        }
        self.failures.stats().add_sent(copied);
        for copy in &mut self.copies {
            let before = copy.queue.len();
            copy.outlet.accept(&mut copy.queue);
            copy.room = copy.room.saturating_sub(before - copy.queue.len());
        }
    }

    fn flush(&mut self) {
        self.copies.iter_mut().for_each(|copy| copy.outlet.flush());
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut drained = self.failures.poll_clear(cx).is_ready();
        // Each is moved on, whoever else waits.
        for copy in &mut self.copies {
            if !copy.queue.is_empty() {
                drained &= copy.make_room(cx).is_ready();
            }
            drained &= copy.outlet.poll_drained(cx).is_ready();
        }
        if drained {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
