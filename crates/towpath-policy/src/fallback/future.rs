//! The future of a call with a fallback.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{Fails, answer::Kept};
use crate::BoxError;

pin_project! {
    /// The future of a [`FallbackService`](crate::FallbackService).
    #[must_use = "futures do nothing unless polled"]
    pub struct FallbackFuture<F, K, P>
    where
        K: Kept,
    {
        #[pin]
        state: State<F, K::Future>,
        kept: Option<K>,
        fails: Fails<P>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, G> {
        // -> Answering, when the call fails
        Calling { #[pin] future: F },
        Answering { #[pin] future: G },
    }
}

impl<F, K, P> FallbackFuture<F, K, P>
where
    K: Kept,
{
    #[inline]
    pub(super) fn new(future: F, kept: K, fails: Fails<P>) -> Self {
        Self {
            state: State::Calling { future },
            kept: Some(kept),
            fails,
        }
    }
}

impl<F, K, P, R, E> Future for FallbackFuture<F, K, P>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
    K: Kept,
    K::Future: Future<Output = Result<R, BoxError>>,
    P: Fn(&(dyn Error + 'static)) -> bool,
{
    type Output = Result<R, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let error: BoxError = match this.state.as_mut().project() {
                StateProj::Answering { future } => {
                    let answer = ready!(future.poll(cx));
                    if answer.is_ok() {
                        this.fails.count_answer();
                    }
                    return Poll::Ready(answer);
                }
                StateProj::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(response) => return Poll::Ready(Ok(response)),
                    Err(error) => error.into(),
                },
            };
            let accepts = |_: &K| this.fails.accepts(error.as_ref());
            let kept = this.kept.take().filter(accepts);
            let Some(kept) = kept else {
                return Poll::Ready(Err(error));
            };
            // The call that failed is dropped here: the answer is not asked for beside it.
            let future = kept.answer(error);
            this.state.set(State::Answering { future });
        }
    }
}

impl<F, K, P> fmt::Debug for FallbackFuture<F, K, P>
where
    K: Kept,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture").finish_non_exhaustive()
    }
}
