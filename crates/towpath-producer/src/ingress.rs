//! A source that other code pushes into.

mod handle;
mod queue;
mod reply;

use std::{fmt, num::NonZeroUsize, sync::Arc};

use towpath_core::{BoxError, Intake, Producer, Received};

pub use handle::IngressHandle;
use queue::Queue;
pub use reply::{IngressReplies, IngressToken};

/// Makes a source that other code pushes into.
///
/// ```
/// use std::num::NonZeroUsize;
/// use towpath_producer::{Ingress, IngressHandle, IngressSource, Overflow};
///
/// let capacity = NonZeroUsize::new(100).unwrap();
/// let (source, handle): (IngressSource<u32>, IngressHandle<u32>) =
///     Ingress::new(capacity, Overflow::Reject);
/// handle.try_push(7).unwrap();
/// assert_eq!(handle.len(), 1);
/// # let _ = source;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ingress;

/// What becomes of a message that is pushed into an ingress that is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// The pusher waits, in the order of the pushes.
    Wait,
    /// The pusher gets it back, with [`PushError::QueueFull`].
    Reject,
    /// It takes the place of the oldest, which is dropped for the reason `overflow`.
    DropOldest,
    /// It is dropped, for the reason `overflow`.
    DropNewest,
}

/// A message that was not taken, with the message.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError<P> {
    /// As many messages as there is room for wait already.
    #[error("the ingress is full")]
    QueueFull(P),
    /// The ingress is closed, or its pipeline drains or is gone.
    #[error("the ingress takes no more messages")]
    Stopped(P),
}

/// The end of an ingress that a pipeline receives from.
///
/// Hands out messages in the order of their pushes. Ends when the ingress is closed, or
/// all handles are dropped, and what was accepted before is out. At a drain it hands out
/// all that was accepted, however much was asked for, and accepts nothing more.
///
/// What is given back is not delivered again: whoever waits for its outcome is told, and
/// may push it again. Wrap it in [`Redeliver`](crate::Redeliver) otherwise.
///
/// When it is dropped, the messages that nobody received are dropped with it and
/// [counted](IngressHandle::abandoned); whoever waits for one is told that it is given back.
pub struct IngressSource<P> {
    queue: Arc<Queue<P>>,
}

impl Ingress {
    /// An ingress in which up to `capacity` messages wait, with its first handle.
    #[expect(clippy::new_ret_no_self, reason = "an ingress is its two ends")]
    pub fn new<P: Send + 'static>(
        capacity: NonZeroUsize,
        overflow: Overflow,
    ) -> (IngressSource<P>, IngressHandle<P>) {
        let queue = Arc::new(Queue::new(capacity, overflow));
        let handle = IngressHandle::new(queue.clone());
        (IngressSource { queue }, handle)
    }
}

// === impl PushError ===

impl<P> PushError<P> {
    /// The message that was not taken.
    pub fn into_inner(self) -> P {
        match self {
            Self::QueueFull(payload) | Self::Stopped(payload) => payload,
        }
    }
}

/// Shows why, and not the message: it need not be showable.
impl<P> fmt::Debug for PushError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull(_) => "QueueFull(..)",
            Self::Stopped(_) => "Stopped(..)",
        })
    }
}

// === impl IngressSource ===

impl<P: Send + 'static> Producer for IngressSource<P> {
    type Payload = P;
    type Acknowledger = IngressReplies;

    async fn receive(
        &mut self,
        intake: &mut Intake<P, IngressToken>,
    ) -> Result<Received, BoxError> {
        loop {
            if let Some(received) = self.queue.take(intake) {
                return Ok(received);
            }
            self.queue.pushed().await;
        }
    }

    async fn drain(&mut self, intake: &mut Intake<P, IngressToken>) -> Result<(), BoxError> {
        self.queue.close();
        self.queue.take_all(intake);
        Ok(())
    }

    fn acknowledger(&mut self) -> Option<IngressReplies> {
        Some(IngressReplies)
    }
}

impl<P> Drop for IngressSource<P> {
    fn drop(&mut self) {
        self.queue.close();
        self.queue.abandon();
    }
}

impl<P> fmt::Debug for IngressSource<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngressSource")
            .field("queue", &self.queue)
            .finish()
    }
}

#[cfg(test)]
mod tests;
