//! The future of a call with a deadline.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::{
    BoxError,
    context::{self, CallContext},
    error::{DeadlinePassed, find},
    timer::Timer,
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
        // Made by the first poll that has to wait: boxed, so that other calls are small.
        timer: Option<Box<Timer>>,
        // Taken when the call was counted.
        counter: Option<Arc<AtomicU64>>,
    }
}

impl<F> DeadlineFuture<F> {
    pub(super) fn new(
        inner: F,
        deadline: Option<Instant>,
        counter: Option<Arc<AtomicU64>>,
    ) -> Self {
        Self {
            inner: Some(inner),
            deadline,
            timer: None,
            counter,
        }
    }

    pub(super) fn passed(counter: Option<Arc<AtomicU64>>) -> Self {
        Self {
            inner: None,
            deadline: None,
            timer: None,
            counter,
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
            return Poll::Ready(Err(cut_short(this.counter)));
        };
        let Some(deadline) = *this.deadline else {
            return inner.poll(cx).map_err(Into::into);
        };
        let mut context = context::current().until(Some(deadline));
        if let Poll::Ready(result) = scoped(&mut context, || inner.poll(cx)) {
            let counter = this.counter;
            return Poll::Ready(result.map_err(|error| seen(error.into(), counter)));
        }
        let timer = this
            .timer
            .get_or_insert_with(|| Box::new(Timer::new(deadline)));
        if timer.poll_until(deadline, cx).is_pending() {
            return Poll::Pending;
        }
        // The call ends before anybody learns that it has.
        this.inner.set(None);
        Poll::Ready(Err(cut_short(this.counter)))
    }
}

#[cold]
fn cut_short(counter: &mut Option<Arc<AtomicU64>>) -> BoxError {
    seen(DeadlinePassed { source: None }.into(), counter)
}

/// Counts a call that was cut short, here or by a policy inside that saw its deadline come.
#[cold]
fn seen(error: BoxError, counter: &mut Option<Arc<AtomicU64>>) -> BoxError {
    if find::<DeadlinePassed>(&*error).is_some()
        && let Some(counter) = counter.take()
    {
        counter.fetch_add(1, Relaxed);
    }
    error
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
