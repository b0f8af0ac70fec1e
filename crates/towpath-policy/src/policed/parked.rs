//! A call between two attempts, or before its first: it holds no permit and no readiness.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;
use tower_service::Service;

use super::{
    admission::{Admission, Ticket},
    charged::Charged,
    core::Local,
};
use crate::{
    BoxError,
    error::Interrupted,
    line::Place,
    observe::{CallObserver, WaitReason},
};

/// What a waiting call keeps.
pub(super) struct Parked<S, Q> {
    service: S,
    request: Q,
    /// No attempt before.
    until: Option<Instant>,
    drain: Place,
    admission: Admission,
}

impl<S: Clone, Q> Parked<S, Q> {
    #[cold]
    pub(super) fn new<L>(local: &Local<S, L>, request: Q, until: Option<Instant>) -> Self {
        local.core.tally.park();
        Self {
            service: local.spare.service(),
            request,
            until,
            drain: Place::default(),
            admission: Admission::default(),
        }
    }

    /// Waits for the time, and then to get in.
    pub(super) fn poll<L>(
        &mut self,
        local: &Local<S, L>,
        charged: &mut Charged,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ticket, BoxError>>
    where
        S: Service<Q>,
        S::Error: Into<BoxError>,
    {
        if let Some(until) = self.until {
            if local.core.drain.interrupts(&mut self.drain, cx.waker()) {
                return Poll::Ready(Err(Interrupted { source: None }.into()));
            }
            let sleep = &mut self.admission;
            ready!(sleep.poll_sleep(&local.core, until, WaitReason::Backoff, cx));
            local.core.drain.leave(&mut self.drain);
            self.until = None;
        }
        while let Some(later) = charged.find_bucket(&local.core) {
            if let Some(refused) = local.core.refuses_until(later) {
                return Poll::Ready(Err(refused.into()));
            }
            let sleep = &mut self.admission;
            ready!(sleep.poll_sleep(&local.core, later, WaitReason::RateLimit, cx));
        }
        let want = charged.want(&local.core);
        ready!(self.admission.poll(local, &mut self.service, want, cx))?;
        Poll::Ready(Ok(self.admission.take()))
    }
}

impl<S, Q> Parked<S, Q> {
    /// Gives back what it gathered: called once, at its end.
    pub(super) fn leave<L>(&mut self, local: &Local<S, L>, charged: &Charged) {
        local.core.tally.unpark();
        local.core.drain.leave(&mut self.drain);
        let want = charged.want(&local.core);
        self.admission.abandon(&local.core, want);
    }

    /// Tells what it has waited for, once it has left.
    pub(super) fn tell_waits(&mut self, observer: &Arc<dyn CallObserver>) {
        self.admission.tell_waits(Some(observer));
    }

    /// The service, ready where getting in has succeeded, and the request.
    pub(super) fn into_parts(self) -> (S, Q) {
        (self.service, self.request)
    }
}
