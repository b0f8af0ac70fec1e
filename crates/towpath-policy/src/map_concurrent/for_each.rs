//! The consuming form of the map: calls are polled while a result is worked on.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::Stream;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ConcurrentMap;
use crate::BoxError;

pin_project! {
    /// The future of [`for_each`](ConcurrentMap::for_each): ready when all is consumed.
    ///
    /// # Cancel safety
    /// Dropping it drops the running calls and the result that is being worked on.
    #[must_use = "futures do nothing unless polled"]
    pub struct ForEach<St, S, F, Fut>
    where
        St: Stream,
        S: Service<St::Item>,
    {
        #[pin]
        map: ConcurrentMap<St, S>,
        consume: F,
        #[pin]
        consuming: Option<Fut>,
    }
}

impl<St, S, F, Fut> ForEach<St, S, F, Fut>
where
    St: Stream,
    S: Service<St::Item>,
{
    pub(super) fn new(map: ConcurrentMap<St, S>, consume: F) -> Self {
        Self {
            map,
            consume,
            consuming: None,
        }
    }
}

impl<St, S, F, Fut> Future for ForEach<St, S, F, Fut>
where
    St: Stream,
    S: Service<St::Item> + Clone,
    S::Error: Into<BoxError>,
    F: FnMut(Result<S::Response, BoxError>) -> Fut,
    Fut: Future<Output = ()>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            if let Some(consuming) = this.consuming.as_mut().as_pin_mut() {
                if consuming.poll(cx).is_pending() {
                    this.map.as_mut().work(cx);
                    return Poll::Pending;
                }
                this.consuming.set(None);
            }
            let Some(result) = ready!(this.map.as_mut().poll_next(cx)) else {
                return Poll::Ready(());
            };
            this.consuming.set(Some((this.consume)(result)));
        }
    }
}

impl<St, S, F, Fut> fmt::Debug for ForEach<St, S, F, Fut>
where
    St: Stream,
    S: Service<St::Item>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForEach")
            .field("map", &self.map)
            .finish_non_exhaustive()
    }
}
