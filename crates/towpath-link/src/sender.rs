//! The upstream end of a link: waits for demand, sends what it has.

use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll},
};

use crate::{Chunk, Watch, shared::Shared, sync::Arc, waiters::Ticket};

/// The upstream end of a link. Clones share the demand.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    ticket: Option<Ticket>,
}

impl<T> Sender<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>) -> Self {
        shared.hold_open();
        Self {
            shared,
            ticket: None,
        }
    }

    /// Takes an empty chunk if there is demand now.
    pub fn try_chunk(&mut self) -> Option<Chunk<T>> {
        let items = self.shared.empty.take()?;
        Some(Chunk::granted(items, self.shared.clone()))
    }

    /// Waits for demand; `None` when the last receiver is gone.
    ///
    /// After `Pending`, a wake-up may be meant for this end alone: poll again when woken,
    /// or call [`stop_waiting`](Self::stop_waiting).
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk<T>>> {
        let polled = self.shared.empty.poll_take(&mut self.ticket, cx);
        polled.map(|items| items.map(|items| Chunk::granted(items, self.shared.clone())))
    }

    /// Waits for demand; `None` when the last receiver is gone.
    ///
    /// # Cancel safety
    /// Cancel safe. Dropping the future takes no demand, and stops waiting.
    pub async fn chunk(&mut self) -> Option<Chunk<T>> {
        let wait = Wait(self);
        poll_fn(|cx| wait.0.poll_chunk(cx)).await
    }

    /// Stops waiting for demand, so that a wake-up meant for this end passes to another.
    pub fn stop_waiting(&mut self) {
        self.shared.empty.stop_waiting(&mut self.ticket);
    }

    /// Sends a chunk on. An empty one just becomes demand again.
    ///
    /// A chunk goes to the link it came from. The items are dropped when nobody is left
    /// to receive them.
    pub fn send(&self, chunk: Chunk<T>) {
        chunk.travel();
    }

    /// Looks at the link from outside.
    pub fn watch(&self) -> Watch<T> {
        Watch::new(self.shared.clone())
    }

    /// How many items the link takes in one chunk.
    pub fn max_demand(&self) -> usize {
        self.shared.max_demand
    }

    /// How many full chunks wait to be received.
    pub fn full_chunks(&self) -> usize {
        self.shared.full.len()
    }

    /// How many empty chunks wait to be filled: the demand that nobody has met yet.
    pub fn empty_chunks(&self) -> usize {
        self.shared.empty.len()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.stop_waiting();
        self.shared.let_go();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// Stops waiting when a future is dropped half-way.
struct Wait<'a, T>(&'a mut Sender<T>);

impl<T> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        self.0.stop_waiting();
    }
}
