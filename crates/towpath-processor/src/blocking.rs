//! Blocking work, kept off the runtime's workers.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;
use tower_service::Service;
use towpath_core::{BoxError, Panicked, trace};

/// Runs a closure on the blocking pool of tokio, once per call.
///
/// A closure that has begun cannot be stopped: when its pipeline is stopped at the
/// deadline, the message is given back while the closure runs to its end.
pub struct Blocking<F>(Arc<F>);

impl<F> Blocking<F> {
    /// A service that calls `f` on the blocking pool.
    pub fn new(f: F) -> Self {
        Self(Arc::new(f))
    }
}

impl<F> Clone for Blocking<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F> fmt::Debug for Blocking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocking")
    }
}

impl<T, U, E, F> Service<T> for Blocking<F>
where
    F: Fn(T) -> Result<U, E> + Send + Sync + 'static,
    T: Send + 'static,
    U: Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    type Response = U;
    type Error = BoxError;
    type Future = OnPool<U>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: T) -> OnPool<U> {
        let (f, span) = (self.0.clone(), trace::current());
        OnPool(tokio::task::spawn_blocking(move || {
            let _entered = span.as_ref().map(trace::enter);
            f(request).map_err(Into::into)
        }))
    }
}

/// A closure that runs on the blocking pool.
#[derive(Debug)]
pub struct OnPool<U>(JoinHandle<Result<U, BoxError>>);

impl<U> Future for OnPool<U> {
    type Output = Result<U, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|joined| match joined {
            Ok(result) => result,
            Err(error) => Err(match error.try_into_panic() {
                Ok(panic) => Panicked::from_payload(panic).into(),
                Err(error) => error.into(),
            }),
        })
    }
}

impl<U> Drop for OnPool<U> {
    fn drop(&mut self) {
        // Takes it back if no thread has begun with it.
        self.0.abort();
    }
}
