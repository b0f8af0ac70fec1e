//! The attempts at a traced message, and its waits for policies, as spans.

#[cfg(test)]
mod tests;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use towpath_core::{
    Ledger, StageName,
    trace::{self, End, Span, Step},
};
use towpath_policy::observe::{self, AttemptObserver, CallObserver, Entered, WaitReason};

/// Looks at the call for a traced message: its attempts and waits are children of a span.
pub(crate) struct TracedCall {
    process: Arc<dyn Span>,
    approach: Approach,
    stage: StageName,
    ledger: Arc<Ledger>,
}

/// How a message came to its call. A stage waits for its policies before it takes one: with
/// the message that is next, or while there is none.
pub(crate) struct Approach {
    /// Has the waits before the call.
    pub(crate) span: Arc<dyn Span>,
    /// When the message was next in line, at the earliest.
    pub(crate) since: Duration,
    /// When the call began.
    pub(crate) until: Duration,
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
        approach: Approach,
        stage: StageName,
        ledger: Arc<Ledger>,
    ) -> Arc<dyn CallObserver> {
        Arc::new(Self {
            process,
            approach,
            stage,
            ledger,
        })
    }
}

impl CallObserver for TracedCall {
    fn attempt(&self, number: u32) -> Box<dyn AttemptObserver> {
        let stage = &self.stage;
        let step = Step::Attempt { stage, number };
        let now = self.ledger.now();
        let span = self.process.start(&step, now);
        let approach = Approach::none(&span, now);
        let inside = Self::new(span.clone(), approach, stage.clone(), self.ledger.clone());
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
        let (from, to) = (at(from), at(to));
        if let Some((parent, from)) = self.approach.place(&self.process, from, to) {
            parent.start(&step, from).end(&End::Done, to);
        }
    }
}

// === impl Approach ===

impl Approach {
    /// Of a call that begins now, in that span.
    pub(crate) fn none(span: &Arc<dyn Span>, now: Duration) -> Self {
        Self {
            span: span.clone(),
            since: now,
            until: now,
        }
    }

    /// Where a wait belongs, and when it began for this message; `None` where it was over
    /// before the message was there.
    fn place<'a>(
        &'a self,
        call: &'a Arc<dyn Span>,
        from: Duration,
        to: Duration,
    ) -> Option<(&'a Arc<dyn Span>, Duration)> {
        if from >= self.until {
            return Some((call, from));
        }
        let from = from.max(self.since);
        (from < to).then_some((&self.span, from))
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
            Err(error) => self.span.end(&End::failed(error), now),
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
