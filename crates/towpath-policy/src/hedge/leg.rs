//! A further call: readied on an instance of its own, then made.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::Shared;
use crate::BoxError;

pin_project! {
    #[project = LegProj]
    pub(super) enum Leg<S, Q, F> {
        // -> Calling
        Readying { service: S, request: Option<Q>, paid: Paid },
        Calling { #[pin] future: F },
    }
}

/// What was paid for the call; given back when that is not made.
pub(super) struct Paid {
    shared: Arc<Shared>,
    used: bool,
}

impl Paid {
    pub(super) fn from(shared: &Arc<Shared>) -> Option<Self> {
        shared.budget.withdraw().then(|| Self {
            shared: shared.clone(),
            used: false,
        })
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        if !self.used {
            self.shared.budget.refund();
        }
    }
}

impl<S, Q> Leg<S, Q, S::Future>
where
    S: Service<Q>,
    S::Error: Into<BoxError>,
{
    pub(super) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<S::Response, BoxError>> {
        loop {
            let future = match self.as_mut().project() {
                LegProj::Calling { future } => return future.poll(cx).map_err(Into::into),
                LegProj::Readying {
                    service,
                    request,
                    paid,
                } => {
                    ready!(service.poll_ready(cx)).map_err(Into::into)?;
                    let Some(request) = request.take() else {
                        return Poll::Pending;
                    };
                    paid.used = true;
                    service.call(request)
                }
            };
            self.set(Self::Calling { future });
        }
    }
}
