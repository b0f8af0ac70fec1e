//! One call of the map: its place, its time and its context.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use crate::{
    BoxError,
    context::{self, CallContext},
    error::TimedOut,
};

pin_project! {
    pub(super) struct Item<F> {
        #[pin]
        call: F,
        // Made by the first poll that has to wait.
        #[pin]
        timer: Option<Sleep>,
        timeout: Option<Duration>,
        context: CallContext,
        place: u64,
    }
}

impl<F> Item<F> {
    pub(super) fn new(
        call: F,
        context: CallContext,
        timeout: Option<Duration>,
        place: u64,
    ) -> Self {
        Self {
            call,
            timer: None,
            timeout,
            context,
            place,
        }
    }
}

impl<F, R, E> Future for Item<F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Output = (u64, Result<R, BoxError>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let call = this.call;
        if let Poll::Ready(result) = context::scope(this.context, || call.poll(cx)) {
            return Poll::Ready((*this.place, result.map_err(Into::into)));
        }
        let Some(limit) = *this.timeout else {
            return Poll::Pending;
        };
        ready!(poll_sleep(this.timer, limit, cx));
        Poll::Ready((*this.place, Err(TimedOut { limit }.into())))
    }
}

fn poll_sleep(
    mut timer: Pin<&mut Option<Sleep>>,
    limit: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if timer.is_none() {
        timer.set(Some(sleep(limit)));
    }
    match timer.as_pin_mut() {
        Some(timer) => timer.poll(cx),
        None => Poll::Pending,
    }
}
