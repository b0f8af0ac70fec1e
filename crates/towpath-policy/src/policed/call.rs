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
    admission::{Admission, Ticket},
    charged::Charged,
    core::Local,
    parked::Parked,
    replay::Replay,
    run::{Again, Run, Watch},
};
use crate::{
    BoxError, context,
    observe::{self, CallObserver},
    panic_guard,
    rate::Charge,
};

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
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            match this.state.as_mut().project() {
                StateProj::Ended => return,
                StateProj::Parked { parked: Some(parked) } => {
                    parked.leave(this.local, this.charged);
                    this.run.tell_waits(parked);
                }
                _ => {}
            }
            // The attempt ends before others may have what it held.
            this.state.set(State::Ended);
            this.run.abandon(&this.local.core);
            this.run.end(this.local);
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
        Refused { refused: Option<Box<Refused<Q>>> },
        Ended,
    }
}

/// Why a call was refused its first attempt, and its request unless that is gone.
type Refused<Q> = (BoxError, Option<Q>);

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
    ///
    /// Its ticket is taken when the call is made: until then the owner of what it was let in
    /// by gives that back, should the service panic.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "saves a copy of the future of each call"
    )]
    pub(super) fn begin(
        local: &Arc<Local<S, L>>,
        request: Q,
        charged: Charged,
        call: impl FnOnce(Q) -> S::Future,
        admission: &mut Admission,
    ) -> Self {
        let core = &*local.core;
        if observe::is_observed() {
            return Self::begin_observed(local, request, charged, call, admission);
        }
        let kept = R::keep(&request, core.repeats);
        let mut within = core.begin_time();
        let entered = within.as_mut().map(context::enter);
        let state = State::calling(core.guards, || call(request));
        drop(entered);
        admission.tell_waits(None);
        Self {
            kept,
            charged,
            run: Run::begin(core, admission.take(), within),
            state,
            local: local.clone(),
        }
    }

    /// The same for a call that somebody looks at.
    #[cold]
    #[inline(never)]
    fn begin_observed(
        local: &Arc<Local<S, L>>,
        request: Q,
        charged: Charged,
        call: impl FnOnce(Q) -> S::Future,
        admission: &mut Admission,
    ) -> Self {
        let core = &*local.core;
        let kept = R::keep(&request, core.repeats);
        let observer = observe::current();
        admission.tell_waits(observer.as_ref());
        let watch = observer.map(Watch::new);
        let mut again = Box::new(Again::new(core.begin_time(), watch));
        again.tell_attempt();
        let entered = again.enter();
        let state = State::calling(core.guards, || call(request));
        drop(entered);
        Self {
            kept,
            charged,
            run: Run::begin_with(core, admission.take(), Some(again)),
            state,
            local: local.clone(),
        }
    }

    /// A call that waits for its first attempt, or was refused it.
    #[cold]
    pub(super) fn delayed(
        local: &Arc<Local<S, L>>,
        request: Q,
        charged: Charged,
        refused: Option<BoxError>,
        observer: Option<Arc<dyn CallObserver>>,
    ) -> Self {
        let core = &local.core;
        let again = match (core.begin_time(), observer.map(Watch::new)) {
            (None, None) => None,
            (within, watch) => Some(Box::new(Again::new(within, watch))),
        };
        let run = Run::begin_with(core, Ticket::default(), again);
        let kept = R::keep(&request, local.core.repeats);
        let state = match refused {
            None => State::parked(Parked::new(local, request, None)),
            Some(error) => State::refused(error, Some(request)),
        };
        Self {
            local: local.clone(),
            kept,
            charged,
            run,
            state,
        }
    }

    /// Polls the attempts of a call that did not end at once, or not well.
    #[cold]
    fn poll_attempts(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, BoxError>> {
        loop {
            let (error, unused) = match ready!(self.as_mut().poll_attempt(cx)) {
                (Ok(answer), _) => {
                    let mut this = self.as_mut().project();
                    this.state.set(State::Ended);
                    this.run.succeed(this.local);
                    return Poll::Ready(Ok(answer));
                }
                (Err(error), unused) => (error, unused),
            };
            if let Some(error) = self.as_mut().next(error, unused) {
                return Poll::Ready(Err(error));
            }
        }
    }

    fn poll_attempt(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Attempted<S::Response, Q>> {
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
                    this.run.tell_waits(waiting);
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
                StateProj::Refused { refused } => {
                    let Some(refused) = refused.take() else {
                        return Poll::Pending;
                    };
                    let (error, request) = *refused;
                    return Poll::Ready((Err(error), request));
                }
                // Polled after its end.
                StateProj::Ended => return Poll::Pending,
            }
        }
    }

    /// After a failed attempt: waits for the next one, or gives the error that is the answer.
    #[cold]
    fn next(mut self: Pin<&mut Self>, error: BoxError, unused: Option<Q>) -> Option<BoxError> {
        let mut this = self.as_mut().project();
        // The attempt ends before others may have what it held. Not `Ended`: if the classifier
        // panics, the drop gives that back.
        this.state.set(State::Parked { parked: None });
        let core = &this.local.core;
        let (error, until) = match this.run.failed(core, this.charged, error) {
            Ok(next) => next,
            Err(error) => {
                this.run.end(this.local);
                return Some(error);
            }
        };
        let more = this.run.may_repeat(core);
        let Some(request) = unused.or_else(|| R::again(this.kept, more)) else {
            let error = this.run.unrepeatable(core, error);
            this.run.end(this.local);
            return Some(error);
        };
        this.run.keep_error(error);
        let parked = Parked::new(this.local, request, until);
        this.state.set(State::parked(parked));
        None
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
        let mut this = self.as_mut().project();
        let StateProj::Calling { future } = this.state.as_mut().project() else {
            return self.poll_attempts(cx);
        };
        match ready!(this.run.poll_call(this.local, future, cx)) {
            Ok(answer) => {
                // The attempt ends before others may have what it held.
                this.state.set(State::Ended);
                this.run.succeed(this.local);
                Poll::Ready(Ok(answer))
            }
            Err(error) => match self.as_mut().next(error, None) {
                Some(error) => Poll::Ready(Err(error)),
                None => self.poll_attempts(cx),
            },
        }
    }
}

impl<S, Q, F> State<S, Q, F> {
    /// A call that is made now; where panics are guarded against, one is its error.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "saves a copy of the future of each call"
    )]
    fn calling(guards: bool, call: impl FnOnce() -> F) -> Self {
        if guards {
            return Self::calling_guarded(call);
        }
        Self::Calling { future: call() }
    }

    fn calling_guarded(call: impl FnOnce() -> F) -> Self {
        match panic_guard::catch(call) {
            Ok(future) => Self::Calling { future },
            Err(panicked) => Self::refused(panicked.into(), None),
        }
    }

    fn refused(error: BoxError, request: Option<Q>) -> Self {
        Self::Refused {
            refused: Some(Box::new((error, request))),
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
