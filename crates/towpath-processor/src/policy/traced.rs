//! The attempts at a traced message, and its waits for policies, as spans.

#[cfg(test)]
mod tests;

use std::{error::Error, fmt, sync::Arc};

use tokio::time::Instant;
use towpath_core::{
    Ledger, StageName,
    trace::{self, End, Span, Step},
};
use towpath_policy::observe::{self, AttemptObserver, CallObserver, Entered, WaitReason};

use super::error_kind;

/// Looks at the call for a traced message: its attempts and waits are children of a span.
pub(crate) struct TracedCall {
    process: Arc<dyn Span>,
    stage: StageName,
    ledger: Arc<Ledger>,
}

/// Looks at one attempt.
struct TracedAttempt {
    span: Arc<dyn Span>,
    /// Calls that the service makes with policies of their own are children of the attempt.
    inside: Arc<dyn CallObserver>,
    ledger: Arc<Ledger>,
}

impl TracedCall {
    /// For a message that `stage` works on, in the span `process`.
    #[expect(clippy::new_ret_no_self, reason = "it is only ever an observer")]
    pub(crate) fn new(
        process: Arc<dyn Span>,
        stage: StageName,
        ledger: Arc<Ledger>,
    ) -> Arc<dyn CallObserver> {
        Arc::new(Self {
            process,
            stage,
            ledger,
        })
    }
}

impl CallObserver for TracedCall {
    fn attempt(&self, number: u32) -> Box<dyn AttemptObserver> {
        let stage = &self.stage;
        let step = Step::Attempt { stage, number };
        let span = self.process.start(&step, self.ledger.now());
        let inside = Self::new(span.clone(), stage.clone(), self.ledger.clone());
        Box::new(TracedAttempt {
            span,
            inside,
            ledger: self.ledger.clone(),
        })
    }

    fn waited(&self, reason: WaitReason, from: Instant, to: Instant) {
        let (now, since_start) = (Instant::now(), self.ledger.now());
        let at = |then: Instant| since_start.saturating_sub(now.saturating_duration_since(then));
        let step = Step::Wait {
            stage: &self.stage,
            reason: reason.as_str(),
        };
        let span = self.process.start(&step, at(from));
        span.end(&End::Done, at(to));
    }
}

impl AttemptObserver for TracedAttempt {
    fn enter(&self) -> Box<dyn Entered> {
        // Left in this order.
        Box::new((observe::enter(&self.inside), trace::enter(&self.span)))
    }

    fn ended(self: Box<Self>, result: Result<(), &(dyn Error + 'static)>) {
        let now = self.ledger.now();
        match result {
            Ok(()) => self.span.end(&End::Done, now),
            Err(error) => self
                .span
                .end(&End::failed_as(error_kind(error), error), now),
        }
    }
}

impl Drop for TracedAttempt {
    /// The attempt was cancelled, unless its end was told before: then this does not count.
    fn drop(&mut self) {
        self.span.end(&End::Abandoned, self.ledger.now());
    }
}

impl fmt::Debug for TracedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedCall")
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
