//! Where a worker sends what failed: through the failure hook, to the dead letters or back.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    num::NonZeroU32,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    BoxError, Cause, DeadLetter, Event, EventKind, Failure, Ledger, Message, Observer, Origin,
    Original, Outcome, Outlet, Panicked, Receipt, StageName, StageStats, Timing,
    trace::{End, Tracer},
};

/// Sees each failure of a stage before it is settled, and may change its outcome.
pub type FailureHook = Arc<dyn Fn(Outcome, &Origin) -> Outcome + Send + Sync>;

/// What a pipeline has for failures, shared by its stages.
#[derive(Clone)]
pub struct FailureContext {
    /// The name of the pipeline.
    pub pipeline: StageName,
    /// Its accounts and its clock.
    pub ledger: Arc<Ledger>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// Who traces messages.
    pub tracer: Option<Arc<dyn Tracer>>,
    /// How closely calls are timed.
    pub timing: Timing,
    /// How often a message is tried, over all its deliveries; `None` as long as it takes.
    pub max_attempts: Option<NonZeroU32>,
}

/// A message was given up: it has failed as often as it may.
#[derive(Debug, thiserror::Error)]
#[error("given up after {attempts} attempts")]
#[non_exhaustive]
pub struct AttemptsExhausted {
    /// How often a message is tried, over all its deliveries.
    pub attempts: NonZeroU32,
    /// How the last attempt failed.
    pub source: BoxError,
}

/// What becomes of messages that failed in the same way.
struct Fate {
    outcome: Outcome,
    /// Instead, for a message that is to be given back from its last attempt.
    last: Option<Outcome>,
}

/// Where one worker sends what failed.
///
/// A rejected message is settled only when its dead letter is written; until the
/// route takes it, it waits here, and the worker starts nothing new.
pub struct FailureRoute {
    stage: StageName,
    context: FailureContext,
    hook: Option<FailureHook>,
    letters: Option<Box<dyn Outlet<Message<DeadLetter>>>>,
    waiting: VecDeque<Message<DeadLetter>>,
    stats: Arc<StageStats>,
}

// === impl FailureContext ===

impl FailureContext {
    /// Tells the observer what happened at `stage`.
    pub fn tell(&self, stage: &StageName, kind: EventKind) {
        let event = Event::new(self.ledger.now(), stage.clone(), kind);
        self.observer.event(&event);
    }
}

// === impl FailureRoute ===

impl FailureRoute {
    /// The route of one worker of `stage`.
    pub fn new(stage: StageName, context: FailureContext, stats: Arc<StageStats>) -> Self {
        Self {
            stage,
            context,
            hook: None,
            letters: None,
            waiting: VecDeque::new(),
            stats,
        }
    }

    /// With a dead-letter route.
    #[must_use]
    pub fn to_letters(mut self, letters: Option<Box<dyn Outlet<Message<DeadLetter>>>>) -> Self {
        self.letters = letters;
        self
    }

    /// With a hook that sees each failure first.
    #[must_use]
    pub fn hooked(mut self, hook: Option<FailureHook>) -> Self {
        self.hook = hook;
        self
    }

    /// The stage whose failures these are.
    pub fn stage(&self) -> &StageName {
        &self.stage
    }

    /// Name, accounts and observer of the pipeline.
    pub fn context(&self) -> &FailureContext {
        &self.context
    }

    /// Tells the observer of the pipeline what happened at the stage.
    pub fn tell(&self, kind: EventKind) {
        self.context.tell(&self.stage, kind);
    }

    /// What the stage counts.
    pub fn stats(&self) -> &StageStats {
        &self.stats
    }

    /// A message failed with an error: a [`Failure`] as it says, any other rejects it.
    pub fn fail(&mut self, receipt: Receipt, error: impl Into<BoxError>) {
        self.fail_with(receipt, Failure::from_error(error), None);
    }

    /// As [`fail`](Self::fail), with the payload at hand for the dead letter.
    pub fn fail_with(&mut self, receipt: Receipt, failure: Failure, payload: Option<Original>) {
        end_trace(&receipt, &failure);
        let fate = self.fate(&self.stage, failure);
        self.fail_to(receipt, &fate, payload);
    }

    /// As [`fail_with`](Self::fail_with), in a part of the stage that has a name of its own.
    pub fn fail_at(
        &mut self,
        part: &StageName,
        receipt: Receipt,
        failure: Failure,
        payload: Option<Original>,
    ) {
        end_trace(&receipt, &failure);
        self.fail_to(receipt, &self.fate(part, failure), payload);
    }

    /// Messages failed together, all in the same way.
    pub fn fail_all(&mut self, receipts: impl IntoIterator<Item = Receipt>, failure: Failure) {
        let fate = self.fate(&self.stage, failure);
        for receipt in receipts {
            self.fail_to(receipt, &fate, None);
        }
    }

    /// A message failed for a reason that is not its own: it goes back to its source, however
    /// often it was tried.
    pub fn give_back(&mut self, receipt: Receipt) {
        let fate = Fate {
            outcome: Outcome::retry(),
            last: None,
        };
        self.fail_to(receipt, &fate, None);
    }

    fn fate(&self, stage: &StageName, failure: Failure) -> Fate {
        let limited = self.context.max_attempts.zip(failure.retry_after());
        let Some((attempts, after)) = limited else {
            let outcome = failure.into_outcome(stage);
            return Fate {
                outcome,
                last: None,
            };
        };
        let source = failure.into_error();
        let exhausted = AttemptsExhausted { attempts, source };
        Fate {
            outcome: Outcome::retry_after(after),
            last: Some(Outcome::Reject(Cause::new(stage.clone(), exhausted))),
        }
    }

    fn fail_to(&mut self, receipt: Receipt, fate: &Fate, payload: Option<Original>) {
        if matches!(fate.outcome, Outcome::Drop(_)) {
            self.stats.add_dropped(1);
        } else {
            self.stats.add_failed(1);
        }
        let outcome = self.through_hook(&receipt, fate.outcome.clone());
        let outcome = match &fate.last {
            Some(last) if self.is_last(&receipt, &outcome) => last.clone(),
            _ => outcome,
        };
        self.settle(receipt, outcome, payload);
    }

    /// Whether the message would be given back from its last attempt.
    fn is_last(&self, receipt: &Receipt, outcome: &Outcome) -> bool {
        let limit = self.context.max_attempts.filter(|_| is_retry(outcome));
        limit.is_some_and(|limit| receipt.origin().attempt.max(1) >= limit.get())
    }

    /// User code panicked over a message: it is rejected with what the panic said.
    pub fn panicked(&mut self, receipt: Receipt, payload: Box<dyn std::any::Any + Send>) {
        self.stats.add_panicked(1);
        self.fail(receipt, Panicked::from_payload(payload));
    }

    /// User code panicked and took its message with it: it went back to its source.
    pub fn lost_to_panic(&mut self) {
        self.stats.add_failed(1);
        self.stats.add_panicked(1);
    }

    /// Settles a message, by way of the dead letters if it is rejected.
    pub fn settle(&mut self, receipt: Receipt, outcome: Outcome, payload: Option<Original>) {
        let Outcome::Reject(cause) = outcome else {
            return receipt.settle(outcome);
        };
        self.tell(EventKind::Rejected {
            cause: cause.clone(),
        });
        if self.letters.is_none() {
            return receipt.settle(Outcome::Reject(cause));
        }
        let original = receipt.original().or(payload);
        let letter = DeadLetter::new(self.context.pipeline.clone(), cause, receipt.origin());
        let trace = receipt.journey().map(|journey| journey.headers());
        let letter = letter
            .with_original(original)
            .traced(trace.unwrap_or_default());
        self.waiting.push_back(Message::new(letter, receipt));
    }

    fn through_hook(&self, receipt: &Receipt, outcome: Outcome) -> Outcome {
        let Some(hook) = &self.hook else {
            return outcome;
        };
        let origin = receipt.origin();
        let hooked = catch_unwind(AssertUnwindSafe(|| hook(outcome.clone(), &origin)));
        hooked.unwrap_or_else(|_| {
            self.stats.add_panicked(1);
            outcome
        })
    }

    /// Whether nothing waits for the dead-letter route.
    pub fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands on what waits for the dead-letter route.
    pub fn poll_clear(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.waiting.is_empty() {
            let Some(letters) = &mut self.letters else {
                self.waiting.clear();
                break;
            };
            if std::task::ready!(letters.poll_room(cx)) == 0 {
                // Nobody writes letters any more: the messages go back to their source.
                self.waiting.clear();
            }
            letters.accept(&mut self.waiting);
            letters.flush();
        }
        Poll::Ready(())
    }

    /// Waits until nothing waits for the dead-letter route.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn clear(&mut self) {
        poll_fn(|cx| self.poll_clear(cx)).await;
    }
}

fn is_retry(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry { .. })
}

/// What worked on the message has ended so, in its trace.
fn end_trace(receipt: &Receipt, failure: &Failure) {
    if let Some(journey) = receipt.journey() {
        journey.leave(&match failure.word() {
            "dropped" => End::Done,
            _ => End::failed(failure.error()),
        });
    }
}

impl fmt::Debug for FailureRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailureRoute")
            .field("stage", &self.stage)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FailureContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailureContext")
            .field("pipeline", &self.pipeline)
            .finish_non_exhaustive()
    }
}
