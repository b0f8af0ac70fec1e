//! The future of a call with a deadline.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    BoxError,
    context::{self, CallContext},
    error::DeadlinePassed,
};

pin_project! {
    /// The future of a [`DeadlineService`](crate::DeadlineService).
    ///
    /// # Panics
    /// Polling panics outside of a tokio runtime with time, when it is the first poll that
    /// has to wait and the call has a deadline.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct DeadlineFuture<F> {
        // None: the time is over, or the call has ended.
        #[pin]
        inner: Option<F>,
        deadline: Option<Instant>,
        // Made by the first poll that has to wait.
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<F> DeadlineFuture<F> {
    pub(super) fn new(inner: F, deadline: Option<Instant>) -> Self {
        Self {
            inner: Some(inner),
            deadline,
            timer: None,
        }
    }

    pub(super) fn passed() -> Self {
        Self {
            inner: None,
            deadline: None,
            timer: None,
        }
    }
}

impl<F, R, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Output = Result<R, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(DeadlinePassed { source: None }.into()));
        };
        let Some(deadline) = *this.deadline else {
            return inner.poll(cx).map_err(Into::into);
        };
        let mut context = context::current().until(Some(deadline));
        if let Poll::Ready(result) = scoped(&mut context, || inner.poll(cx)) {
            return Poll::Ready(result.map_err(Into::into));
        }
        if poll_timer(this.timer, deadline, cx).is_pending() {
            return Poll::Pending;
        }
        // The call ends before anybody learns that it has.
        this.inner.set(None);
        Poll::Ready(Err(DeadlinePassed { source: None }.into()))
    }
}

fn poll_timer(
    mut timer: Pin<&mut Option<Sleep>>,
    deadline: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if timer.is_none() {
        timer.set(Some(sleep_until(deadline)));
    }
    match timer.as_pin_mut() {
        Some(timer) => timer.poll(cx),
        None => Poll::Pending,
    }
}

/// Runs `f` in a context; the attempt that `f` leaves there is what those around see too.
#[inline]
pub(super) fn scoped<R>(context: &mut CallContext, f: impl FnOnce() -> R) -> R {
    let attempt = context.attempt;
    let result = context::scope(context, f);
    if context.attempt != attempt {
        context::set_attempt(context.attempt);
    }
    result
}
