//! One traced message on its way: where it waits, who works on it, and since when.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{End, Entered, Span, Step, enter};
use crate::{Headers, Ledger, Outcome, Receipt, StageName, ledger::lock};

/// The trace of one message: spans are begun and ended as it moves.
///
/// A message is at one place at a time. The parts of one that was split have a journey each.
pub struct Journey {
    root: Arc<dyn Span>,
    ledger: Arc<Ledger>,
    place: Mutex<Place>,
}

struct Place {
    /// When it was last let go of.
    since: Duration,
    /// What it is in now.
    span: Option<Arc<dyn Span>>,
}

impl Journey {
    /// Begins behind the source.
    pub fn new(root: Arc<dyn Span>, ledger: Arc<Ledger>) -> Arc<Self> {
        let since = ledger.now();
        let place = Mutex::new(Place { since, span: None });
        Arc::new(Self {
            root,
            ledger,
            place,
        })
    }

    /// The journey of a part of the message.
    #[must_use]
    pub fn fork(&self) -> Arc<Self> {
        Self::new(self.root.clone(), self.ledger.clone())
    }

    /// The time since the pipeline began.
    pub fn now(&self) -> Duration {
        self.ledger.now()
    }

    /// The accounts of its pipeline, and its clock.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// The span that all others of the message are children of.
    pub fn root(&self) -> &Arc<dyn Span> {
        &self.root
    }

    /// The span that the message is in: what works on it, or the root.
    pub fn span(&self) -> Arc<dyn Span> {
        let place = lock(&self.place);
        place.span.as_ref().unwrap_or(&self.root).clone()
    }

    /// When the message came to the place where it is now.
    pub fn since(&self) -> Duration {
        lock(&self.place).since
    }

    /// What to send along with what is made of the message.
    pub fn headers(&self) -> Headers {
        self.span().headers()
    }

    /// A processor begins to work on the message of `receipt`, with others in one call where
    /// there is a `count`.
    pub fn begin_stage(&self, stage: &StageName, count: Option<usize>, receipt: &Receipt) {
        let origin = receipt.origin();
        let step = Step::Process {
            stage,
            count,
            origin: &origin,
        };
        self.enter(stage, &step);
    }

    /// Something begins to work on the message: its wait is over.
    pub fn enter(&self, stage: &StageName, step: &Step<'_>) -> Arc<dyn Span> {
        let now = self.now();
        self.waited_for(stage, now);
        let span = self.root.start(step, now);
        self.replace(Some(span.clone()), now, &End::Abandoned);
        span
    }

    fn waited_for(&self, stage: &StageName, now: Duration) {
        let since = lock(&self.place).since;
        let queue = self.root.start(&Step::Queue { stage }, since);
        queue.end(&End::Done, now);
    }

    /// What worked on the message has ended. Without such a thing, nothing happens.
    pub fn leave(&self, end: &End<'_>) {
        self.replace(None, self.now(), end);
    }

    /// Puts the message in another span; ends the one it was in.
    fn replace(&self, span: Option<Arc<dyn Span>>, now: Duration, end: &End<'_>) {
        let before = {
            let mut place = lock(&self.place);
            place.since = now;
            std::mem::replace(&mut place.span, span)
        };
        if let Some(before) = before {
            before.end(end, now);
        }
    }

    /// Makes the span that the message is in the current one of this thread.
    pub fn make_current(&self) -> Entered {
        enter(&self.span())
    }

    /// The outcome is known: begins the span in which the source is told. A message that
    /// goes back takes its trace along.
    pub(crate) fn settle(&self, outcome: &mut Outcome, abandoned: bool) -> Arc<dyn Span> {
        self.leave(&End::Abandoned);
        if let Outcome::Retry { trace, .. } = outcome {
            *trace = Some(Box::new(self.root.headers()));
        }
        let step = Step::Settle { outcome, abandoned };
        self.root.start(&step, self.now())
    }
}

impl fmt::Debug for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journey")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}
