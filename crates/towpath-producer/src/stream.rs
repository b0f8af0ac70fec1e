//! Any stream as a source.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use tokio_stream::Stream;
use towpath_core::{BoxError, Delivery, Intake, Producer, Received, Unacknowledged};

/// Hands out the items of a stream: waits for one, then takes those that are ready too.
///
/// Ends when the stream does. Nobody is told the outcomes: wrap it in
/// [`Redeliver`](crate::Redeliver) to have given-back items delivered again.
///
/// The stream is polled only while somebody can take its items, and kept from one call
/// to the next: a call that is cancelled loses nothing. When it panics, the panic passes
/// out of `receive`, and the next call polls it again.
///
/// ```
/// use towpath_producer::StreamSource;
///
/// let numbers = StreamSource::new(tokio_stream::iter(0..10));
/// # let _ = numbers;
/// ```
pub struct StreamSource<S> {
    /// `None` when it has ended: an ended stream must not be polled.
    items: Option<Pin<Box<S>>>,
}

impl<S: Stream> StreamSource<S> {
    /// A source of the items of `items`.
    pub fn new(items: S) -> Self {
        Self {
            items: Some(Box::pin(items)),
        }
    }

    fn poll_receive(
        &mut self,
        intake: &mut Intake<S::Item, ()>,
        cx: &mut Context<'_>,
    ) -> Poll<Received> {
        let before = intake.len();
        while intake.room() > 0 {
            let Some(items) = &mut self.items else {
                return Poll::Ready(Received::End);
            };
            match items.as_mut().poll_next(cx) {
                Poll::Ready(Some(item)) => intake.push(Delivery::new(item, ())),
                Poll::Ready(None) => self.items = None,
                Poll::Pending if intake.len() == before => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Received::More)
    }
}

impl<S> Producer for StreamSource<S>
where
    S: Stream + Send + 'static,
    S::Item: Send + 'static,
{
    type Payload = S::Item;
    type Acknowledger = Unacknowledged;

    async fn receive(&mut self, intake: &mut Intake<S::Item, ()>) -> Result<Received, BoxError> {
        Ok(poll_fn(|cx| self.poll_receive(intake, cx)).await)
    }
}

impl<S> fmt::Debug for StreamSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSource")
            .field("ended", &self.items.is_none())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
