//! The downstream end of a link: takes full chunks, offers back what it cannot start.

use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll},
};

use crate::{Chunk, shared::Shared, sync::Arc, waiters::Ticket};

/// The downstream end of a link. Clones share the work.
///
/// When the last one goes, what nobody has received is dropped.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    ticket: Option<Ticket>,
}

impl<T> Receiver<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>) -> Self {
        shared.receiver_joined();
        Self {
            shared,
            ticket: None,
        }
    }

    /// Takes a full chunk if there is one now.
    pub fn try_recv(&mut self) -> Option<Chunk<T>> {
        let items = self.shared.full.take()?;
        Some(Chunk::received(items, self.shared.clone()))
    }

    /// Waits for a full chunk; `None` when the link has ended and is empty.
    ///
    /// After `Pending`, a wake-up may be meant for this end alone: poll again when woken,
    /// or call [`stop_waiting`](Self::stop_waiting).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk<T>>> {
        let polled = self.shared.full.poll_take(&mut self.ticket, cx);
        polled.map(|items| items.map(|items| Chunk::received(items, self.shared.clone())))
    }

    /// Waits for a full chunk; `None` when the link has ended and is empty.
    ///
    /// # Cancel safety
    /// Cancel safe. Dropping the future takes nothing out of the link, and stops waiting.
    pub async fn recv(&mut self) -> Option<Chunk<T>> {
        let wait = Wait(self);
        poll_fn(|cx| wait.0.poll_recv(cx)).await
    }

    /// Stops waiting for chunks, so that a wake-up meant for this end passes to another.
    ///
    /// Without it, a receiver that cannot take more just now would sit on a wake-up
    /// that an idle one needs.
    pub fn stop_waiting(&mut self) {
        self.shared.full.stop_waiting(&mut self.ticket);
    }

    /// Puts a chunk, or what is left of it, back for whoever is idle, behind those that wait.
    ///
    /// An empty one just becomes demand again. A chunk goes to the link it came from.
    pub fn offer_back(&self, chunk: Chunk<T>) {
        chunk.travel();
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

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.stop_waiting();
        self.shared.receiver_left();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// Stops waiting when a future is dropped half-way.
struct Wait<'a, T>(&'a mut Receiver<T>);

impl<T> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        self.0.stop_waiting();
    }
}
