//! Fallback: another answer when a call has failed.

mod answer;
mod future;
mod second;
#[cfg(test)]
mod tests;

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

pub use answer::{Answer, ByFunction, ByService, ByValue, Kept, ServiceAndRequest};
pub use future::FallbackFuture;
pub use second::SecondCall;

use crate::{
    BoxError,
    error::{Interrupted, find},
};

/// Which errors a fallback is for, when nothing was said: all.
type Any = fn(&(dyn Error + 'static)) -> bool;

/// Which errors say that a call has not failed.
type Passes = fn(&(dyn Error + 'static)) -> bool;

/// Another answer for calls that have failed: a value, a function or a service.
///
/// All errors are meant unless [`when`](Self::when) says otherwise, also those of policies
/// inside: that a deadline has passed, or that a circuit breaker is open. A call whose wait was
/// [interrupted](crate::Interrupted) has not failed, and gets no other answer.
///
/// ```
/// use towpath_policy::{BoxError, Fallback, service_fn};
/// use tower::{Layer, Service, ServiceExt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let down = service_fn(|_: &str| async { Err::<u32, BoxError>("down".into()) });
/// let mut service = Fallback::value(0).layer(down);
/// assert_eq!(service.ready().await?.call("price").await?, 0);
/// # Ok::<_, BoxError>(()) }).unwrap();
/// ```
#[derive(Clone)]
#[must_use = "a layer does nothing until it is put around a service"]
pub struct Fallback<A, P = Any> {
    answer: A,
    when: P,
    passes: Passes,
    /// Shared by its clones and the services it was put around.
    used: Arc<AtomicU64>,
}

/// A service with a [`Fallback`].
#[derive(Clone)]
pub struct FallbackService<S, A, P> {
    inner: S,
    answer: A,
    when: P,
    passes: Passes,
    used: Arc<AtomicU64>,
}

/// Which errors get another answer.
struct Fails<P> {
    when: P,
    passes: Passes,
    used: Arc<AtomicU64>,
}

/// The fallback of a call has failed too.
#[derive(Debug, thiserror::Error)]
#[error("the fallback failed too: {failure}")]
#[non_exhaustive]
pub struct FallbackFailed {
    /// How the fallback failed.
    pub failure: BoxError,
    /// How the call itself had failed.
    pub source: BoxError,
}

// === impl Fallback ===

impl<A> Fallback<A> {
    fn new(answer: A) -> Self {
        Self {
            answer,
            when: |_| true,
            passes: |_| false,
            used: Arc::default(),
        }
    }
}

impl<R> Fallback<ByValue<R>> {
    /// A call that has failed answers with a clone of `value`.
    pub fn value(value: R) -> Self {
        Self::new(ByValue::new(value))
    }
}

impl<F> Fallback<ByFunction<F>> {
    /// A call that has failed answers with what `function` makes of its error.
    ///
    /// The function owns the error: what it fails with is what the call fails with, and the
    /// first error should stay in its chain.
    pub fn with<R>(function: F) -> Self
    where
        F: Fn(BoxError) -> Result<R, BoxError>,
    {
        Self::new(ByFunction::new(function))
    }
}

impl<B> Fallback<ByService<B>> {
    /// A call that has failed is made once more, of another service, with a clone of the
    /// request.
    ///
    /// Each such call uses a clone of the service and waits until that is ready. When it
    /// fails too the error is [`FallbackFailed`], with the first one as its source.
    pub fn service(service: B) -> Self {
        Self::new(ByService::new(service))
    }
}

impl<A, P> Fallback<A, P> {
    /// Only for errors that `when` accepts; others pass.
    pub fn when<W>(self, when: W) -> Fallback<A, W>
    where
        W: Fn(&(dyn Error + 'static)) -> bool,
    {
        Fallback {
            answer: self.answer,
            when,
            passes: self.passes,
            used: self.used,
        }
    }

    /// Errors that say what is to become of the call, and not that it has failed: they pass,
    /// whatever [`when`](Self::when) accepts.
    pub fn passing(mut self, passes: fn(&(dyn Error + 'static)) -> bool) -> Self {
        self.passes = passes;
        self
    }

    /// How many calls were answered by this fallback and its clones.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// Counts from zero, and no longer together with those that it was cloned from.
    pub fn counting_apart(mut self) -> Self {
        self.used = Arc::default();
        self
    }
}

impl<S, A, P> Layer<S> for Fallback<A, P>
where
    A: Clone,
    P: Clone,
{
    type Service = FallbackService<S, A, P>;

    fn layer(&self, inner: S) -> Self::Service {
        FallbackService {
            inner,
            answer: self.answer.clone(),
            when: self.when.clone(),
            passes: self.passes,
            used: self.used.clone(),
        }
    }
}

impl<A, P> fmt::Debug for Fallback<A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}

// === impl FallbackService ===

impl<S, A, P> FallbackService<S, A, P> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, Q, A, P> Service<Q> for FallbackService<S, A, P>
where
    S: Service<Q>,
    S::Error: Into<BoxError>,
    A: Answer<Q>,
    <A::Kept as Kept>::Future: Future<Output = Result<S::Response, BoxError>>,
    P: Fn(&(dyn Error + 'static)) -> bool + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = FallbackFuture<S::Future, A::Kept, P>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        let kept = self.answer.keep(&request);
        let fails = Fails {
            when: self.when.clone(),
            passes: self.passes,
            used: self.used.clone(),
        };
        FallbackFuture::new(self.inner.call(request), kept, fails)
    }
}

impl<P: Fn(&(dyn Error + 'static)) -> bool> Fails<P> {
    /// Whether it is for an error.
    fn accepts(&self, error: &(dyn Error + 'static)) -> bool {
        let passes = find::<Interrupted>(error).is_some() || (self.passes)(error);
        !passes && (self.when)(error)
    }
}

impl<P> Fails<P> {
    fn count_answer(&self) {
        self.used.fetch_add(1, Relaxed);
    }
}

impl<S: fmt::Debug, A, P> fmt::Debug for FallbackService<S, A, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
