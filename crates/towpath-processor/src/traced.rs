//! A traced message at a processor: while its call is polled, its span is the current one.

use std::{fmt, sync::Arc, time::Duration};

use towpath_core::{
    BoxError, Failure, Receipt, StageName,
    trace::{End, Entered, Journey, Span, enter},
};
use towpath_policy::observe::{self, CallObserver};

use crate::policy::{Approach, TracedCall};

/// The span of a call in flight, and who looks at its attempts.
pub(crate) struct Traced {
    span: Arc<dyn Span>,
    attempts: Arc<dyn CallObserver>,
}

impl Traced {
    /// Of a message that came to the stage then.
    fn new(journey: &Journey, stage: &StageName, since: Duration) -> Self {
        let (span, ledger) = (journey.span(), journey.ledger().clone());
        let approach = Approach {
            span: journey.root().clone(),
            since,
            until: journey.since(),
        };
        Self {
            attempts: TracedCall::new(span.clone(), approach, stage.clone(), ledger),
            span,
        }
    }

    /// Until what is returned is dropped: around a poll.
    pub(crate) fn enter(&self) -> (observe::Guard, Entered) {
        (observe::enter(&self.attempts), enter(&self.span))
    }
}

/// Begins the span of a call for a message, with others where there is a `count`; `None` where
/// it is not traced.
pub(crate) fn begin(receipt: &Receipt, count: Option<usize>, stage: &StageName) -> Option<Traced> {
    let journey = receipt.journey()?;
    let since = journey.since();
    journey.begin_stage(stage, count, receipt);
    Some(Traced::new(&journey, stage, since))
}

/// Begins the spans of a call for several messages: one for each that is traced. The code of
/// the call is in the first; the others point to it.
pub(crate) fn begin_all(receipts: &[Receipt], stage: &StageName) -> Option<Traced> {
    let traced = receipts.iter().filter(|receipt| receipt.is_traced());
    let count = Some(receipts.len());
    let mut spans = traced.filter_map(|receipt| begin(receipt, count, stage));
    let first = spans.next()?;
    spans.for_each(|other| other.span.link(&*first.span));
    Some(first)
}

/// The call has gone well.
#[inline]
pub(crate) fn end(receipt: &Receipt) {
    if receipt.is_traced() {
        end_as(receipt, &End::Done);
    }
}

/// The call has failed, as its message will.
#[inline]
pub(crate) fn end_failed(receipt: &Receipt, error: &BoxError) {
    if receipt.is_traced() {
        leave_failed(receipt, error);
    }
}

#[cold]
fn leave_failed(receipt: &Receipt, error: &BoxError) {
    let is_dropped = error
        .downcast_ref::<Failure>()
        .is_some_and(|failure| failure.word() == "dropped");
    if is_dropped {
        end_as(receipt, &End::Done);
    } else {
        end_as(receipt, &End::failed(&**error));
    }
}

#[cold]
fn end_as(receipt: &Receipt, end: &End<'_>) {
    if let Some(journey) = receipt.journey() {
        journey.leave(end);
    }
}

impl fmt::Debug for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced")
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}
