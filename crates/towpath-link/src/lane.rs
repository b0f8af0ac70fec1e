//! One direction of a link: a queue that has room for every buffer, and who waits for one.

use std::{
    collections::VecDeque,
    iter,
    task::{Context, Poll},
};

use async_channel::TryRecvError;

use crate::{
    channel,
    waiters::{Ticket, Waiters},
};

/// The items of a chunk while they travel, and the mark that they carry.
#[derive(Debug)]
pub(crate) struct Buffer<T> {
    pub(crate) items: VecDeque<T>,
    pub(crate) mark: u64,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            mark: 0,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Lane<T> {
    entry: channel::Sender<Buffer<T>>,
    exit: channel::Receiver<Buffer<T>>,
    waiters: Waiters,
}

impl<T> Lane<T> {
    pub(crate) fn new(buffers: usize) -> Self {
        let (entry, exit) = channel::bounded(buffers);
        let waiters = Waiters::new();
        Self {
            entry,
            exit,
            waiters,
        }
    }

    /// Puts a buffer in; gives it back when the lane is closed.
    pub(crate) fn put(&self, buffer: Buffer<T>) -> Result<(), Buffer<T>> {
        let refused = |refused: async_channel::TrySendError<_>| {
            debug_assert!(refused.is_closed(), "a lane has room for every buffer");
            refused.into_inner()
        };
        self.entry.try_send(buffer).map_err(refused)?;
        self.waiters.wake_one();
        Ok(())
    }

    /// Takes the oldest buffer if there is one now.
    pub(crate) fn take(&self) -> Option<Buffer<T>> {
        self.exit.try_recv().ok()
    }

    /// Waits for a buffer; `None` when the lane is closed and empty.
    pub(crate) fn poll_take(
        &self,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Buffer<T>>> {
        let mut found = self.look();
        if found.is_pending() && self.waiters.wait(ticket, cx.waker()) {
            found = self.look();
        }
        if found.is_ready() {
            self.waiters.served(ticket);
        }
        found
    }

    fn look(&self) -> Poll<Option<Buffer<T>>> {
        match self.exit.try_recv() {
            Err(TryRecvError::Empty) => Poll::Pending,
            found => Poll::Ready(found.ok()),
        }
    }

    /// Stops waiting; a wake-up that was meant for it goes to another.
    pub(crate) fn stop_waiting(&self, ticket: &mut Option<Ticket>) {
        self.waiters.leave(ticket);
    }

    /// Refuses further buffers; what is inside can still be taken.
    pub(crate) fn close(&self) {
        self.entry.close();
        self.waiters.wake_all();
    }

    /// Refuses further buffers and takes out those inside.
    pub(crate) fn shut(&self) -> Vec<Buffer<T>> {
        self.close();
        iter::from_fn(|| self.take()).collect()
    }

    /// How many buffers are inside.
    pub(crate) fn len(&self) -> usize {
        self.exit.len()
    }
}
