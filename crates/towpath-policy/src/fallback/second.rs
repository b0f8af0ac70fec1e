//! The call of the other service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::FallbackFailed;
use crate::{BoxError, context, observe, policed::Watch};

pin_project! {
    /// The call of the other service: readied first, on an instance of its own.
    #[must_use = "futures do nothing unless polled"]
    pub struct SecondCall<B, Q>
    where
        B: Service<Q>,
    {
        #[pin]
        state: State<B, Q, B::Future>,
        // How the first call failed, until it is passed on.
        first: Option<BoxError>,
        // Whoever looks at the call: this is an attempt too.
        watch: Option<Watch>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B, Q, F> {
        // -> Calling
        Readying { service: B, request: Option<Q> },
        Calling { #[pin] future: F },
    }
}

impl<B, Q> SecondCall<B, Q>
where
    B: Service<Q>,
{
    pub(super) fn new(service: B, request: Q, first: BoxError) -> Self {
        let request = Some(request);
        Self {
            state: State::Readying { service, request },
            first: Some(first),
            watch: observe::is_observed().then(watch).flatten(),
        }
    }
}

impl<B, Q> Future for SecondCall<B, Q>
where
    B: Service<Q>,
    B::Error: Into<BoxError>,
{
    type Output = Result<B::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let entered = this.watch.as_mut().map(Watch::enter);
        let polled = this.state.as_mut().poll(cx);
        drop(entered);
        let result = ready!(polled);
        if let Some(watch) = this.watch {
            watch.ended(&result);
        }
        Poll::Ready(result.map_err(|failure| also(failure, this.first.take())))
    }
}

impl<B, Q> State<B, Q, B::Future>
where
    B: Service<Q>,
    B::Error: Into<BoxError>,
{
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<B::Response, BoxError>> {
        loop {
            let future = match self.as_mut().project() {
                StateProj::Calling { future } => return future.poll(cx).map_err(Into::into),
                StateProj::Readying { service, request } => {
                    ready!(service.poll_ready(cx)).map_err(Into::into)?;
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    service.call(request)
                }
            };
            self.set(Self::Calling { future });
        }
    }
}

#[cold]
fn watch() -> Option<Watch> {
    let mut watch = Watch::new(observe::current()?);
    watch.begin(context::attempt());
    Some(watch)
}

/// Keeps the first error in the chain of the second.
fn also(failure: BoxError, first: Option<BoxError>) -> BoxError {
    match first {
        Some(source) => FallbackFailed { failure, source }.into(),
        None => failure,
    }
}

impl<B, Q> fmt::Debug for SecondCall<B, Q>
where
    B: Service<Q>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondCall").finish_non_exhaustive()
    }
}
