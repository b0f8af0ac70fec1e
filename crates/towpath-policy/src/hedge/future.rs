//! The future of a hedged call: the call, and further ones when it takes long.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

use super::{
    Shared,
    leg::{Leg, Paid},
};
use crate::{BoxError, spare::Spare};

pin_project! {
    /// The future of a [`HedgeService`](crate::HedgeService).
    ///
    /// # Panics
    /// Polling panics outside of a tokio runtime with time, at the first poll that has to wait.
    #[must_use = "futures do nothing unless polled"]
    pub struct HedgeFuture<S, Q>
    where
        S: Service<Q>,
    {
        // None: it has failed.
        #[pin]
        first: Option<S::Future>,
        // None: there will be no more.
        further: Option<Further<S, Q>>,
        legs: Vec<Pin<Box<Leg<S, Q, S::Future>>>>,
        // Made by the first poll that has to wait.
        #[pin]
        timer: Option<Sleep>,
        error: Option<BoxError>,
        started: Option<Instant>,
        shared: Arc<Shared>,
    }
}

/// What further calls are made of.
pub(super) struct Further<S, Q> {
    pub(super) spare: Spare<S>,
    pub(super) request: Q,
    pub(super) delay: Duration,
    pub(super) left: u32,
}

impl<S, Q> HedgeFuture<S, Q>
where
    S: Service<Q>,
{
    #[inline]
    pub(super) fn new(
        first: S::Future,
        further: Option<Further<S, Q>>,
        started: Option<Instant>,
        shared: &Arc<Shared>,
    ) -> Self {
        Self {
            first: Some(first),
            further,
            legs: Vec::new(),
            timer: None,
            error: None,
            started,
            shared: shared.clone(),
        }
    }
}

impl<S, Q> HedgeFuture<S, Q>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
    Q: Clone,
{
    /// The first success of those that run; errors are put aside.
    fn poll_calls(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<S::Response> {
        let mut this = self.as_mut().project();
        if let Some(first) = this.first.as_mut().as_pin_mut()
            && let Poll::Ready(result) = first.poll(cx)
        {
            this.first.set(None);
            match result {
                Ok(response) => return Poll::Ready(response),
                Err(error) => put_aside(this.error, error.into()),
            }
        }
        self.poll_legs(cx)
    }

    fn poll_legs(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<S::Response> {
        let this = self.project();
        let mut at = 0;
        while let Some(leg) = this.legs.get_mut(at) {
            match leg.as_mut().poll(cx) {
                Poll::Ready(Ok(response)) => {
                    this.shared.won.fetch_add(1, Relaxed);
                    return Poll::Ready(response);
                }
                Poll::Ready(Err(error)) => {
                    drop(this.legs.remove(at));
                    put_aside(this.error, error);
                }
                Poll::Pending => at += 1,
            }
        }
        Poll::Pending
    }

    /// Whether it is time for a further call, and it was begun.
    fn poll_further(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(further) = this.further.as_mut() else {
            return Poll::Pending;
        };
        if this.timer.is_none() {
            this.timer.set(Some(sleep(further.delay)));
        }
        let Some(timer) = this.timer.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        ready!(timer.poll(cx));
        this.timer.set(None);
        match Paid::from(this.shared) {
            Some(paid) => this.legs.push(further.leg(paid)),
            None => further.left = 0,
        }
        if further.left == 0 {
            *this.further = None;
        }
        Poll::Ready(())
    }

    /// Those that lost are gone before the answer is seen.
    fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.first.set(None);
        this.timer.set(None);
        *this.further = None;
        drop(mem::take(this.legs));
    }
}

impl<S, Q> Future for HedgeFuture<S, Q>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
    Q: Clone,
{
    type Output = Result<S::Response, BoxError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            if let Poll::Ready(response) = self.as_mut().poll_calls(cx) {
                self.as_mut().end();
                self.shared.record(self.started);
                return Poll::Ready(Ok(response));
            }
            if self.first.is_none() && self.legs.is_empty() {
                self.as_mut().end();
                return match self.project().error.take() {
                    Some(error) => Poll::Ready(Err(error)),
                    None => Poll::Pending,
                };
            }
            ready!(self.as_mut().poll_further(cx));
        }
    }
}

/// Keeps the error that came first.
fn put_aside(aside: &mut Option<BoxError>, error: BoxError) {
    aside.get_or_insert(error);
}

impl<S: Clone, Q: Clone> Further<S, Q> {
    fn leg<F>(&mut self, paid: Paid) -> Pin<Box<Leg<S, Q, F>>> {
        self.left -= 1;
        Box::pin(Leg::Readying {
            service: self.spare.service(),
            request: Some(self.request.clone()),
            paid,
        })
    }
}

impl<S, Q> fmt::Debug for HedgeFuture<S, Q>
where
    S: Service<Q>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeFuture")
            .field("further_calls", &self.legs.len())
            .finish_non_exhaustive()
    }
}
