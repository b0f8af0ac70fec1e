//! What a fallback answers with: a value, what a function says, or another service.

use std::{
    fmt,
    future::{Ready, ready},
    sync::Arc,
};

use tower_service::Service;

use super::second::SecondCall;
use crate::{BoxError, spare::Spare};

/// How calls of requests `Q` that have failed are answered: one of the three ways there are.
pub trait Answer<Q>: sealed::Sealed {
    /// What is kept of a request while its call runs.
    type Kept: Kept;

    /// Keeps what the answer needs.
    fn keep(&self, request: &Q) -> Self::Kept;
}

/// What is kept of a request while its call runs.
pub trait Kept {
    /// The way to the answer.
    type Future;

    /// Answers a call that has failed with `error`.
    fn answer(self, error: BoxError) -> Self::Future;
}

mod sealed {
    pub trait Sealed {}

    impl<R> Sealed for super::ByValue<R> {}
    impl<F> Sealed for super::ByFunction<F> {}
    impl<B> Sealed for super::ByService<B> {}
}

/// Answers with a clone of a value.
#[derive(Debug)]
pub struct ByValue<R>(Arc<R>);

/// Answers with what a function makes of the error.
pub struct ByFunction<F>(Arc<F>);

/// Answers with what another service says.
#[derive(Debug)]
pub struct ByService<B>(Spare<B>);

/// Another service, and the request that it is called with.
#[derive(Debug)]
pub struct ServiceAndRequest<B, Q> {
    service: Spare<B>,
    request: Q,
}

// === impl ByValue ===

impl<R> ByValue<R> {
    pub(super) fn new(value: R) -> Self {
        Self(Arc::new(value))
    }
}

impl<Q, R: Clone> Answer<Q> for ByValue<R> {
    type Kept = Self;

    #[inline]
    fn keep(&self, _: &Q) -> Self {
        self.clone()
    }
}

impl<R: Clone> Kept for ByValue<R> {
    type Future = Ready<Result<R, BoxError>>;

    fn answer(self, _: BoxError) -> Self::Future {
        ready(Ok(Arc::unwrap_or_clone(self.0)))
    }
}

impl<R> Clone for ByValue<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

// === impl ByFunction ===

impl<F> ByFunction<F> {
    pub(super) fn new(function: F) -> Self {
        Self(Arc::new(function))
    }
}

impl<Q, R, F> Answer<Q> for ByFunction<F>
where
    F: Fn(BoxError) -> Result<R, BoxError>,
{
    type Kept = Self;

    #[inline]
    fn keep(&self, _: &Q) -> Self {
        self.clone()
    }
}

impl<R, F> Kept for ByFunction<F>
where
    F: Fn(BoxError) -> Result<R, BoxError>,
{
    type Future = Ready<Result<R, BoxError>>;

    fn answer(self, error: BoxError) -> Self::Future {
        ready((self.0)(error))
    }
}

impl<F> Clone for ByFunction<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F> fmt::Debug for ByFunction<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByFunction").finish_non_exhaustive()
    }
}

// === impl ByService ===

impl<B> ByService<B> {
    pub(super) fn new(service: B) -> Self {
        Self(Spare::new(service))
    }
}

impl<B, Q> Answer<Q> for ByService<B>
where
    B: Service<Q> + Clone,
    B::Error: Into<BoxError>,
    Q: Clone,
{
    type Kept = ServiceAndRequest<B, Q>;

    #[inline]
    fn keep(&self, request: &Q) -> Self::Kept {
        ServiceAndRequest {
            service: self.0.clone(),
            request: request.clone(),
        }
    }
}

impl<B> Clone for ByService<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

// === impl ServiceAndRequest ===

impl<B, Q> Kept for ServiceAndRequest<B, Q>
where
    B: Service<Q> + Clone,
    B::Error: Into<BoxError>,
{
    type Future = SecondCall<B, Q>;

    fn answer(self, error: BoxError) -> Self::Future {
        SecondCall::new(self.service.service(), self.request, error)
    }
}
