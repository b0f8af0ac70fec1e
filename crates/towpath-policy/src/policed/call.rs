//! The future of a call: its attempts, and the waits between them.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    admission::Ticket,
    charged::Charged,
    core::Local,
    parked::Parked,
    replay::Replay,
    run::{Run, Step},
};
use crate::{BoxError, panic_guard, rate::Charge};

pin_project! {
    /// The future of a [`Policed`](crate::Policed) service.
    #[must_use = "futures do nothing unless polled"]
    pub struct PolicedFuture<S, Q, L, R>
    where
        S: Service<Q>,
        S: Clone,
        R: Replay<Q>,
    {
        local: Arc<Local<S, L>>,
        kept: R::Kept,
        charged: Charged,
        run: Run,
        #[pin]
        state: State<S, Q, S::Future>,
    }

    impl<S, Q, L, R> PinnedDrop for PolicedFuture<S, Q, L, R>
    where
        S: Service<Q>,
        S: Clone,
        R: Replay<Q>,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let StateProj::Parked { parked: Some(parked) } = this.state.as_mut().project() {
                parked.leave(this.local, this.charged);
            }
            // The attempt ends before others may have what it held.
            this.state.set(State::Ended);
            this.run.abandon(&this.local.core);
            this.local.keep_timer(this.run.timer());
        }
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Q, F> {
        // An attempt runs.
        Calling { #[pin] future: F },
        // Between attempts, or before the first: boxed, so that a call that goes well is small.
        Parked { parked: Option<Box<Parked<S, Q>>> },
        // Refused before its first attempt.
        Refused { error: Option<BoxError>, request: Option<Q> },
        Ended,
    }
}

/// How an attempt ended, and its request where that was not used.
type Attempted<T, Q> = (Result<T, BoxError>, Option<Q>);

impl<S, Q, L, R> PolicedFuture<S, Q, L, R>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
    L: Charge<Q>,
    R: Replay<Q>,
{
    /// A call whose first attempt begins now.
    #[inline]
    pub(super) fn begin(
        local: Arc<Local<S, L>>,
        request: Q,
        charged: Charged,
        ticket: Ticket,
        call: impl FnOnce(Q) -> S::Future,
    ) -> Self {
        let run = Run::begin(&local.core, ticket);
        let kept = R::keep(&request, run.may_repeat(&local.core));
        let guards = local.core.guards;
        let mut begun = Self {
            local,
            kept,
            charged,
            run,
            state: State::Ended,
        };
        // Only now: a service that panics here takes nothing of the ticket with it.
        begun.state = State::calling(guards, || call(request));
        begun
    }

    /// A call that waits for its first attempt, or was refused it.
    #[cold]
    pub(super) fn delayed(
        local: Arc<Local<S, L>>,
        request: Q,
        charged: Charged,
        refused: Option<BoxError>,
    ) -> Self {
        let run = Run::begin(&local.core, Ticket::default());
        let kept = R::keep(&request, run.may_repeat(&local.core));
        let state = match refused {
            None => State::parked(Parked::new(&local, request, None)),
            Some(error) => State::Refused {
                error: Some(error),
                request: Some(request),
            },
        };
        Self {
            local,
            kept,
            charged,
            run,
            state,
        }
    }

    #[inline]
    fn poll_attempt(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Attempted<S::Response, Q>> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Calling { future } => {
                    let result = ready!(this.run.poll_call(this.local, future, cx));
                    return Poll::Ready((result, None));
                }
                StateProj::Parked { parked } => {
                    let Some(waiting) = parked else {
                        return Poll::Pending;
                    };
                    let entered = waiting.poll(this.local, this.charged, cx);
                    let entered = ready!(this.run.poll_parked(this.local, entered, cx));
                    waiting.leave(this.local, this.charged);
                    let Some(waiting) = parked.take() else {
                        return Poll::Pending;
                    };
                    let (mut service, request) = waiting.into_parts();
                    let ticket = match entered {
                        Ok(ticket) => ticket,
                        Err(error) => return Poll::Ready((Err(error), Some(request))),
                    };
                    this.run.begin_again(&this.local.core, ticket);
                    let guards = this.local.core.guards;
                    let next = this
                        .run
                        .scoped(|| State::calling(guards, || service.call(request)));
                    this.state.set(next);
                }
                StateProj::Refused { error, request } => {
                    let Some(error) = error.take() else {
                        return Poll::Pending;
                    };
                    return Poll::Ready((Err(error), request.take()));
                }
                // Polled after its end.
                StateProj::Ended => return Poll::Pending,
            }
        }
    }
}

impl<S, Q, L, R> Future for PolicedFuture<S, Q, L, R>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
    L: Charge<Q>,
    R: Replay<Q>,
{
    type Output = Result<S::Response, BoxError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let (result, unused) = ready!(self.as_mut().poll_attempt(cx));
            let mut this = self.as_mut().project();
            // The attempt ends before others may have what it held.
            this.state.set(State::Ended);
            let core = &this.local.core;
            let (error, until) = match this.run.settle(core, this.charged, result) {
                Step::Answer(answer) => return Poll::Ready(answer),
                Step::Again { error, until } => (error, until),
            };
            let more = this.run.may_repeat(core);
            let Some(request) = unused.or_else(|| R::again(this.kept, more)) else {
                return Poll::Ready(Err(this.run.unrepeatable(core, error)));
            };
            this.run.keep_error(error);
            let parked = Parked::new(this.local, request, until);
            this.state.set(State::parked(parked));
        }
    }
}

impl<S, Q, F> State<S, Q, F> {
    /// A call that was made; a panic of `call` is its error.
    #[inline]
    fn calling(guards: bool, call: impl FnOnce() -> F) -> Self {
        match panic_guard::call(guards, call) {
            Ok(future) => Self::Calling { future },
            Err(panicked) => Self::Refused {
                error: Some(panicked.into()),
                request: None,
            },
        }
    }

    fn parked(parked: Parked<S, Q>) -> Self {
        Self::Parked {
            parked: Some(Box::new(parked)),
        }
    }
}

impl<S, Q, L, R> fmt::Debug for PolicedFuture<S, Q, L, R>
where
    S: Service<Q> + Clone,
    R: Replay<Q>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicedFuture")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}
