//! The bounded concurrent map over a stream, without a pipeline.

mod for_each;
mod item;
mod places;
mod service_fn;
#[cfg(test)]
mod tests;
mod work;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, stream::FuturesUnordered};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

pub use for_each::ForEach;
pub use service_fn::{ServiceFn, service_fn};

use crate::{BoxError, timer::Timer};
use item::Item;
use places::Places;

/// Puts a service, with whatever policies are around it, behind a stream.
///
/// ```
/// # use std::time::Duration;
/// use futures_util::{StreamExt, stream};
/// use towpath_policy::{BoxError, MapConcurrent, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let double = service_fn(|n: u32| async move { Ok::<_, BoxError>(2 * n) });
/// let doubled: Vec<_> = stream::iter(1..=3)
///     .map_concurrent(2, double)
///     .ordered()
///     .timeout(Duration::from_secs(1))
///     .map(Result::unwrap)
///     .collect()
///     .await;
/// assert_eq!(doubled, [2, 4, 6]);
/// # })
/// ```
pub trait MapConcurrent: Stream + Sized {
    /// Calls the service with each item, up to `limit` at once; results leave as they come.
    ///
    /// A limit of 0 is taken as 1. An item is pulled only when the service is ready and
    /// when its result has a place: running calls and results that wait are never more
    /// than `limit`. See [`ConcurrentMap`] for what happens while nobody polls it.
    fn map_concurrent<S>(self, limit: usize, service: S) -> ConcurrentMap<Self, S>
    where
        S: Service<Self::Item> + Clone,
        S::Error: Into<BoxError>,
    {
        ConcurrentMap {
            source: Some(self),
            service: Some(service),
            running: FuturesUnordered::new(),
            places: Places::default(),
            rules: Rules {
                limit: limit.max(1),
                timeout: None,
                deadline: None,
            },
            ends: None,
            timer: None,
        }
    }
}

impl<St: Stream> MapConcurrent for St {}

pin_project! {
    /// The stream of results of [`map_concurrent`](MapConcurrent::map_concurrent).
    ///
    /// It ends when the source has ended and every result was taken. An error of the service
    /// is an item like any other. When the service says that it cannot be ready again, that
    /// is an item too, and nothing more is pulled.
    ///
    /// # Keep polling it
    /// Every running call is polled whenever the stream is, and *only* then. A consumer that
    /// takes an item and works on it for a second leaves the calls unpolled for a second:
    /// they may time out, and what they hold (a lock, a connection of a pool) stays held,
    /// also when the consumer itself waits for it. [`for_each`](ConcurrentMap::for_each) goes
    /// on polling while its closure works, with the same bound. For work in several stages
    /// use a pipeline, whose stages are polled on their own.
    ///
    /// # Cancel safety
    /// Waiting for the next item is cancel safe. Dropping the stream drops the running calls.
    ///
    /// # Panics
    /// With a timeout or a deadline it must be polled inside of a tokio runtime with time.
    #[must_use = "streams do nothing unless polled"]
    pub struct ConcurrentMap<St, S>
    where
        St: Stream,
        S: Service<St::Item>,
    {
        // None: it has ended.
        #[pin]
        source: Option<St>,
        // Goes with the source: what it has reserved is free for the calls that still run.
        service: Option<S>,
        running: FuturesUnordered<Item<S::Future>>,
        places: Places<Result<S::Response, BoxError>>,
        rules: Rules,
        ends: Option<Instant>,
        timer: Option<Timer>,
    }
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    limit: usize,
    timeout: Option<Duration>,
    deadline: Option<Duration>,
}

// === impl ConcurrentMap ===

impl<St, S> ConcurrentMap<St, S>
where
    St: Stream,
    S: Service<St::Item> + Clone,
    S::Error: Into<BoxError>,
{
    /// Results leave in the order of their items.
    ///
    /// A slow call holds up the results behind it, which count towards the limit.
    pub fn ordered(mut self) -> Self {
        self.places.keep_order();
        self
    }

    /// A call that takes longer is dropped, and its item is the error
    /// [`TimedOut`](crate::TimedOut); the others go on.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.rules.timeout = Some(timeout);
        self
    }

    /// When this long has gone by since the first poll nothing more is pulled, and the calls
    /// that run are dropped.
    ///
    /// Each of them gives the error [`DeadlinePassed`](crate::DeadlinePassed), or the stream
    /// gives it once when no call ran and there might have been more items. The services
    /// read the deadline with [`context::deadline`](crate::context::deadline).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.rules.deadline = Some(deadline);
        self
    }

    /// Gives each result to `consume`, one at a time, and goes on polling the calls that run
    /// while it works on it.
    pub fn for_each<F, Fut>(self, consume: F) -> ForEach<St, S, F, Fut>
    where
        F: FnMut(Result<S::Response, BoxError>) -> Fut,
        Fut: Future<Output = ()>,
    {
        ForEach::new(self, consume)
    }
}

impl<St, S> Stream for ConcurrentMap<St, S>
where
    St: Stream,
    S: Service<St::Item> + Clone,
    S::Error: Into<BoxError>,
{
    type Item = Result<S::Response, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.as_mut().work(cx);
        let this = self.project();
        if let Some(result) = this.places.take() {
            return Poll::Ready(Some(result));
        }
        if this.source.is_none() && this.places.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

impl<St, S> fmt::Debug for ConcurrentMap<St, S>
where
    St: Stream,
    S: Service<St::Item>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrentMap")
            .field("rules", &self.rules)
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}
