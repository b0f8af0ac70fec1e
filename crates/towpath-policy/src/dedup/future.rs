//! The future of a call that is not made twice.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::{
    Claimed,
    ticket::{Next, Ticket},
};
use crate::{
    BoxError,
    timer::{Timer, poll_until},
};

pin_project! {
    /// The future of a [`DedupService`](crate::dedup::DedupService).
    ///
    /// # Cancel safety
    /// Dropping it drops the call and frees its key: the call that has waited longest is made.
    /// A claim in a store cannot be freed so; it is taken over by the next call of the key in
    /// this process, and by other processes when its lease is over.
    #[must_use = "futures do nothing unless polled"]
    pub struct DedupFuture<S, Q>
    where
        S: Service<Q>,
    {
        // Before the ticket: the call is gone when its key is free.
        #[pin]
        call: Option<S::Future>,
        before: Option<Before<S, Q>>,
        stage: Stage<S::Response>,
        timer: Option<Timer>,
        ticket: Ticket,
    }
}

/// What the call is made of.
pub(super) struct Before<S, Q> {
    pub(super) service: S,
    pub(super) request: Q,
}

/// How far a call has come.
enum Stage<R> {
    // The key is claimed by others. -> Asking | Readying
    Waiting,
    // The store is asked. -> Paused | Readying
    Asking(BoxFuture<'static, Result<Claimed, BoxError>>),
    // The key is claimed by another process. -> Asking
    Paused(Instant),
    // The key is claimed for this call. -> Calling
    Readying,
    // -> Settling
    Calling,
    // The store is told how the call ended.
    Settling(
        Option<Result<R, BoxError>>,
        BoxFuture<'static, Result<(), BoxError>>,
    ),
    // The key is done; or the future is.
    Refused(Option<BoxError>),
}

impl<S, Q> DedupFuture<S, Q>
where
    S: Service<Q>,
{
    /// The call is made already.
    pub(super) fn calling(call: S::Future, ticket: Ticket) -> Self {
        Self {
            call: Some(call),
            before: None,
            stage: Stage::Calling,
            timer: None,
            ticket,
        }
    }

    /// The call has to wait.
    pub(super) fn waiting(before: Before<S, Q>, ticket: Ticket) -> Self {
        Self {
            call: None,
            before: Some(before),
            stage: Stage::Waiting,
            timer: None,
            ticket,
        }
    }

    /// The call will not be made.
    pub(super) fn refused(error: BoxError, ticket: Ticket) -> Self {
        Self {
            call: None,
            before: None,
            stage: Stage::Refused(Some(error)),
            timer: None,
            ticket,
        }
    }
}

impl<S, Q> DedupFuture<S, Q>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
{
    /// Claims the key, here and in the store; ready when the call may be made.
    fn poll_claim(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let this = self.project();
        loop {
            let next = match this.stage {
                Stage::Waiting => {
                    ready!(this.ticket.poll(cx))?;
                    this.ticket.ask()
                }
                Stage::Asking(ask) => {
                    let answer = ready!(ask.as_mut().poll(cx));
                    this.ticket.answered(answer)?
                }
                Stage::Paused(until) => {
                    ready!(poll_until(this.timer, *until, cx));
                    this.ticket.ask()
                }
                _ => return Poll::Ready(Ok(())),
            };
            *this.stage = match next {
                Next::Call => Stage::Readying,
                Next::Ask(ask) => Stage::Asking(ask),
                Next::Pause(until) => {
                    // What may have been readied is free meanwhile.
                    if let Some(before) = this.before {
                        before.service = before.service.clone();
                    }
                    Stage::Paused(until)
                }
            };
        }
    }

    /// Readies the service and makes the call, once.
    fn poll_call(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, BoxError>> {
        let mut this = self.project();
        if let Some(before) = this.before {
            ready!(before.service.poll_ready(cx)).map_err(Into::into)?;
        }
        if let Some(Before {
            mut service,
            request,
        }) = this.before.take()
        {
            this.call.set(Some(service.call(request)));
            *this.stage = Stage::Calling;
        }
        match this.call.as_pin_mut() {
            Some(call) => call.poll(cx).map_err(Into::into),
            None => Poll::Pending,
        }
    }

    /// Claims, calls and says how that ended; those who wait for the key wait on.
    fn poll_result(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, BoxError>> {
        ready!(self.as_mut().poll_claim(cx))?;
        let result = self.as_mut().poll_call(cx);
        if result.is_pending() {
            self.project().ticket.keep_alive(cx);
        }
        result
    }

    /// The call is over. None: the store is to be told first.
    fn settle(
        self: Pin<&mut Self>,
        result: Result<S::Response, BoxError>,
    ) -> Option<Result<S::Response, BoxError>> {
        let mut this = self.project();
        this.call.set(None);
        *this.before = None;
        if let Some(settle) = this.ticket.settle(result.is_ok()) {
            *this.stage = Stage::Settling(Some(result), settle);
            return None;
        }
        *this.stage = Stage::Refused(None);
        this.ticket.end(result.is_ok());
        Some(result)
    }

    fn poll_settled(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, BoxError>> {
        let this = self.project();
        let Stage::Settling(result, settle) = this.stage else {
            return Poll::Pending;
        };
        // The call is over however the store takes it: a claim expires.
        let _told = ready!(settle.as_mut().poll(cx));
        let result = result.take();
        *this.stage = Stage::Refused(None);
        let Some(result) = result else {
            return Poll::Pending;
        };
        this.ticket.end(result.is_ok());
        Poll::Ready(result)
    }
}

impl<S, Q> Future for DedupFuture<S, Q>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match self.as_mut().project().stage {
                Stage::Refused(error) => {
                    return error.take().map_or(Poll::Pending, |e| Poll::Ready(Err(e)));
                }
                Stage::Settling(..) => return self.poll_settled(cx),
                _ => {}
            }
            let result = ready!(self.as_mut().poll_result(cx));
            if let Some(result) = self.as_mut().settle(result) {
                return Poll::Ready(result);
            }
        }
    }
}

impl<S, Q> fmt::Debug for DedupFuture<S, Q>
where
    S: Service<Q>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DedupFuture")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
