//! The ends of a link as the ports of workers.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
};

use towpath_core::{Inlet, Outlet};
use towpath_link::{Chunk, Receiver, Sender};

/// Takes chunks; what a worker cannot start goes back for the others.
pub(crate) struct LinkInlet<I> {
    receiver: Receiver<I>,
    /// Held until the next fill, emptied or not: the inbox is part of the link's bound.
    chunk: Option<Chunk<I>>,
    /// Whether others take from the same link. A single worker keeps what it has, in order.
    shared: bool,
}

impl<I> LinkInlet<I> {
    pub(crate) fn new(receiver: Receiver<I>, shared: bool) -> Self {
        Self {
            receiver,
            chunk: None,
            shared,
        }
    }
}

impl<I: Send> Inlet<I> for LinkInlet<I> {
    fn poll_fill(
        &mut self,
        want: usize,
        inbox: &mut VecDeque<I>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        if self.chunk.as_ref().is_none_or(Chunk::is_empty) {
            self.chunk = None;
            self.chunk = ready!(self.receiver.poll_recv(cx));
        }
        let Some(chunk) = &mut self.chunk else {
            return Poll::Ready(false);
        };
        if want >= chunk.len() && inbox.is_empty() {
            chunk.swap(inbox);
        } else {
            inbox.extend(chunk.drain_front(want.max(1)));
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
        self.receiver.offer_back(chunk);
    }

    fn stop_waiting(&mut self) {
        self.receiver.stop_waiting();
    }
}

/// Fills chunks; sends one when it is full, or when the worker has no more for now.
pub(crate) struct LinkOutlet<I> {
    sender: Sender<I>,
    chunk: Option<Chunk<I>>,
}

impl<I> LinkOutlet<I> {
    pub(crate) fn new(sender: Sender<I>) -> Self {
        Self {
            sender,
            chunk: None,
        }
    }

    fn send_full(&mut self) {
        if self.chunk.as_ref().is_some_and(|chunk| chunk.room() == 0)
            && let Some(chunk) = self.chunk.take()
        {
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
        if self.chunk.as_ref().is_some_and(|chunk| !chunk.is_empty())
            && let Some(chunk) = self.chunk.take()
        {
            self.sender.send(chunk);
        }
    }
}
