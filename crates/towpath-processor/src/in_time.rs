//! The context in which a worker makes its calls: their attempt, and when their time is over.

use tokio::time::Instant;
use towpath_core::{FailureContext, Receipt};
use towpath_policy::{DeadlinePassed, context::CallContext};

/// Gives each call its context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InTime {
    /// Whether messages have an end to their time.
    limited: bool,
}

impl InTime {
    pub(crate) fn new(pipeline: &FailureContext) -> Self {
        let limited = pipeline.ledger.deadline().is_some();
        Self { limited }
    }

    pub(crate) fn is_limited(self) -> bool {
        self.limited
    }

    /// The context of a call that begins now, unless the message is too late.
    pub(crate) fn begin(self, receipt: &Receipt) -> Result<CallContext, DeadlinePassed> {
        let attempt = receipt.attempts();
        let redelivered = attempt > 1 && receipt.is_redelivered();
        let context = CallContext::of_attempt(attempt).redelivered(redelivered);
        if !self.limited {
            return Ok(context);
        }
        match receipt.time_left() {
            None => Ok(context),
            Some(left) if left.is_zero() => Err(DeadlinePassed::unbegun()),
            Some(left) => Ok(context.until(Instant::now().checked_add(left))),
        }
    }
}
