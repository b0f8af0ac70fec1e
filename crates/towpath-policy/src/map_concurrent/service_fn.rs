//! A service that is a function.

use std::{
    fmt,
    task::{Context, Poll},
};

use tower_service::Service;

/// A service that is a function of its request; made by [`service_fn`].
#[derive(Clone, Copy)]
pub struct ServiceFn<F> {
    function: F,
}

/// Makes a service of a function, so that policies can be put around it.
///
/// It is always ready.
pub fn service_fn<F>(function: F) -> ServiceFn<F> {
    ServiceFn { function }
}

impl<F, Q, Fut, R, E> Service<Q> for ServiceFn<F>
where
    F: FnMut(Q) -> Fut,
    Fut: Future<Output = Result<R, E>>,
{
    type Response = R;
    type Error = E;
    type Future = Fut;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Q) -> Fut {
        (self.function)(request)
    }
}

impl<F> fmt::Debug for ServiceFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceFn").finish_non_exhaustive()
    }
}
