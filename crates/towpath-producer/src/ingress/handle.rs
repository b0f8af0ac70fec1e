//! The end of an ingress that other code pushes into.

use std::{fmt, sync::Arc};

use towpath_core::Outcome;

use super::{
    IngressToken, PushError,
    queue::{Entry, Queue},
};

/// The end of an ingress that other code pushes into. Cloning gives another handle.
///
/// When the last one is dropped, the ingress is [closed](Self::close).
pub struct IngressHandle<P> {
    shared: Arc<ClosesAtLast<P>>,
}

struct ClosesAtLast<P>(Arc<Queue<P>>);

impl<P> Drop for ClosesAtLast<P> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<P> IngressHandle<P> {
    pub(super) fn new(queue: Arc<Queue<P>>) -> Self {
        Self {
            shared: Arc::new(ClosesAtLast(queue)),
        }
    }

    /// Pushes a message; waits for a place only with [`Overflow::Wait`](super::Overflow).
    ///
    /// # Errors
    /// Gives the message back when the ingress is full and rejects, and when it is
    /// stopped, also while this waits.
    ///
    /// # Cancel safety
    /// Cancel safe: dropped while it waits, it has not pushed the message, and has lost
    /// its place among those who wait.
    pub async fn push(&self, payload: P) -> Result<(), PushError<P>> {
        let entry = Entry::new(payload, IngressToken::unheard());
        self.queue().push(entry).await
    }

    /// Pushes a message without waiting.
    ///
    /// # Errors
    /// As [`push`](Self::push), and gives the message back where that would wait.
    pub fn try_push(&self, payload: P) -> Result<(), PushError<P>> {
        let entry = Entry::new(payload, IngressToken::unheard());
        self.queue().try_push(entry)
    }

    /// Pushes a message and waits for its outcome.
    ///
    /// A message that overflowed is *dropped*, for the reason `overflow`. One that nobody
    /// knows of any more, because its pipeline is gone, is *retried*: given back.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    ///
    /// # Cancel safety
    /// Dropped before the message is accepted, it has not pushed it; afterwards the
    /// message goes on, and nobody learns its outcome.
    pub async fn push_and_wait(&self, payload: P) -> Result<Outcome, PushError<P>> {
        let (token, reply) = IngressToken::heard();
        self.queue().push(Entry::new(payload, token)).await?;
        Ok(reply.outcome().await)
    }

    /// Takes no more messages, from any handle.
    ///
    /// The source ends when it has handed out those accepted before.
    pub fn close(&self) {
        self.queue().close();
    }

    /// Whether the ingress takes no more messages: it was closed, or its pipeline drains
    /// or is gone.
    pub fn is_closed(&self) -> bool {
        self.queue().is_closed()
    }

    /// How many messages wait to be received.
    pub fn len(&self) -> usize {
        self.queue().len()
    }

    /// Whether no message waits to be received.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages may wait.
    pub fn capacity(&self) -> usize {
        self.queue().capacity()
    }

    /// How many messages were dropped because the ingress was full.
    pub fn dropped(&self) -> u64 {
        self.queue().dropped()
    }

    /// How many messages were accepted and never received, for their pipeline was stopped.
    pub fn abandoned(&self) -> u64 {
        self.queue().abandoned()
    }

    fn queue(&self) -> &Queue<P> {
        &self.shared.0
    }
}

impl<P> Clone for IngressHandle<P> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<P> fmt::Debug for IngressHandle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngressHandle")
            .field("queue", self.queue())
            .finish()
    }
}
