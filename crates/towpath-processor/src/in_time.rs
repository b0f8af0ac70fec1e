//! The context in which a worker makes its calls: their attempt, and when their time is over.

use tokio::time::Instant;
use towpath_core::{FailureContext, Receipt};
use towpath_policy::{DeadlinePassed, context::CallContext};

/// Gives each call its context. Calls without policies in a pipeline without a deadline
/// have none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InTime {
    scoped: bool,
    /// Whether messages have an end to their time.
    limited: bool,
}

impl InTime {
    /// For calls that carry a context, or messages that have a deadline.
    pub(crate) fn new(carries: bool, pipeline: &FailureContext) -> Self {
        let limited = pipeline.ledger.deadline().is_some();
        Self {
            scoped: carries || limited,
            limited,
        }
    }

    pub(crate) fn is_scoped(self) -> bool {
        self.scoped
    }

    /// The context of a call that begins now, unless the message is too late.
    #[inline]
    pub(crate) fn begin(self, receipt: &Receipt) -> Result<CallContext, DeadlinePassed> {
        if !self.scoped {
            return Ok(CallContext::default());
        }
        let context = CallContext::of_attempt(receipt.attempts());
        match receipt.time_left().filter(|_| self.limited) {
            None => Ok(context),
            Some(left) if left.is_zero() => Err(DeadlinePassed::unbegun()),
            Some(left) => Ok(context.until(Instant::now().checked_add(left))),
        }
    }

    /// Counts the attempts that a call came to in place.
    #[inline]
    pub(crate) fn finish(self, receipt: &mut Receipt, left: CallContext) {
        if self.scoped {
            let extra = left.attempt.saturating_sub(receipt.attempts());
            if extra > 0 {
                receipt.add_attempts(extra);
            }
        }
    }
}
