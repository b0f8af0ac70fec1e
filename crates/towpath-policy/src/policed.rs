//! The service that drives the policies: one state machine around each call.

mod admission;
mod call;
mod charged;
mod core;
mod parked;
mod replay;
mod run;
mod seats;
mod waits;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tower_service::Service;

pub use call::PolicedFuture;
pub(crate) use core::{Core, Drain, Tally};
pub use replay::{Again, Once, Replay};
pub(crate) use run::Watch;
pub(crate) use seats::Seats;
pub(crate) use waits::WaitTally;

use crate::{BoxError, observe, rate::Charge};
use admission::{Admission, Want};
use charged::Charged;
use core::Local;

/// A service with policies around it.
///
/// Clones share the policies. What `poll_ready` got in place (a permit, a token, the place of
/// a probe) is spent by `call`, and given back when the service is dropped instead.
/// At a rate limit a call counts from when the service was ready: call it then, not later.
pub struct Policed<S, L, R>
where
    S: Clone,
{
    inner: S,
    local: Arc<Local<S, L>>,
    admission: Admission,
    /// What getting in came to, when it was no admission: the answer of the next call.
    refused: Option<BoxError>,
    replay: std::marker::PhantomData<fn() -> R>,
}

impl<S: Clone, L, R> Policed<S, L, R> {
    pub(crate) fn new(inner: S, core: Arc<Core>, charge: Option<Arc<L>>) -> Self {
        let local = Local::new(core, charge, inner.clone());
        Self {
            inner,
            local: Arc::new(local),
            admission: Admission::default(),
            refused: None,
            replay: std::marker::PhantomData,
        }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

/// The one bucket of a limiter that does not look at requests; others are asked in the call.
fn flat<S, L>(local: &Local<S, L>, is_flat: bool) -> Option<Want<'_>> {
    Want::flat(&local.core).filter(|_| is_flat)
}

impl<S, Q, L, R> Service<Q> for Policed<S, L, R>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
    L: Charge<Q>,
    R: Replay<Q>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = PolicedFuture<S, Q, L, R>;

    /// Ready when a call may begin. What stands in its way is the answer of the call, so that
    /// it can be tried again: this never fails.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.refused.is_none() {
            let want = flat(&self.local, L::FLAT);
            let entered = self.admission.poll(&self.local, &mut self.inner, want, cx);
            if let Err(refused) = ready!(entered) {
                self.refused = Some(refused);
            }
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        if !L::FLAT && self.local.core.limiter.is_some() {
            return self.call_charged(request);
        }
        if self.refused.is_some() || !self.admission.is_open() {
            return self.delayed(request, Charged::Flat, None);
        }
        self.begin(request, Charged::Flat)
    }
}

impl<S, L, R> Policed<S, L, R>
where
    S: Clone,
{
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "saves a copy of the future of each call"
    )]
    fn begin<Q>(&mut self, request: Q, charged: Charged) -> PolicedFuture<S, Q, L, R>
    where
        S: Service<Q>,
        S::Error: Into<BoxError>,
        L: Charge<Q>,
        R: Replay<Q>,
    {
        let inner = &mut self.inner;
        let call = |request| inner.call(request);
        PolicedFuture::begin(&self.local, request, charged, call, &mut self.admission)
    }

    /// A call that waits by itself, or was refused.
    #[cold]
    fn delayed<Q>(
        &mut self,
        request: Q,
        charged: Charged,
        refused: Option<BoxError>,
    ) -> PolicedFuture<S, Q, L, R>
    where
        S: Service<Q>,
        S::Error: Into<BoxError>,
        L: Charge<Q>,
        R: Replay<Q>,
    {
        let refused = self.refused.take().or(refused);
        let observer = observe::current();
        self.admission.tell_waits(observer.as_ref());
        PolicedFuture::delayed(&self.local, request, charged, refused, observer)
    }

    /// A call whose cost depends on the request: without a token it waits by itself, and what
    /// was readied for it is free for others.
    fn call_charged<Q>(&mut self, request: Q) -> PolicedFuture<S, Q, L, R>
    where
        S: Service<Q>,
        S::Error: Into<BoxError>,
        L: Charge<Q>,
        R: Replay<Q>,
    {
        let charged = Charged::of(&self.local, &request);
        let core = &self.local.core;
        let is_open = self.refused.is_none() && self.admission.is_open();
        let taken = match charged.want(core) {
            Some(want) if is_open => self.admission.take_token_now(core, want),
            _ => Ok(false),
        };
        if let Ok(true) = taken {
            return self.begin(request, charged);
        }
        self.admission.abandon(core, None);
        self.inner = self.local.spare.service();
        self.delayed(request, charged, taken.err())
    }
}

impl<S: Clone, L, R> Clone for Policed<S, L, R> {
    fn clone(&self) -> Self {
        let local = &self.local;
        Self::new(
            local.spare.service(),
            local.core.clone(),
            local.charge.clone(),
        )
    }
}

impl<S: Clone, L, R> Drop for Policed<S, L, R> {
    fn drop(&mut self) {
        // A limiter that looks at requests has given no token yet.
        let want = flat(&self.local, true);
        self.admission.abandon(&self.local.core, want);
    }
}

impl<S: Clone + fmt::Debug, L, R> fmt::Debug for Policed<S, L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policed")
            .field("inner", &self.inner)
            .field("core", &self.local.core)
            .finish_non_exhaustive()
    }
}
