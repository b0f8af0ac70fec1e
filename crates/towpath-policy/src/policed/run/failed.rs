//! What follows a failed attempt: another one, and when, or the answer.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Run,
    watch::{InAttempt, Watch},
};
use crate::{
    BoxError, Class,
    breaker::Verdict,
    class::is_local,
    context::{self, CallContext},
    error::{
        BudgetSpent, DeadlinePassed, Exhausted, Interrupted, Panicked, TimedOut, Unavailable, find,
    },
    policed::{charged::Charged, core::Core, seats::Latency},
};

/// What is known of a call beyond its first attempt.
#[derive(Debug)]
pub(in crate::policed) struct Again {
    /// `None`: the one it is polled in.
    context: Option<CallContext>,
    watch: Option<Watch>,
    /// Attempts that count.
    made: u32,
    /// The delay before the attempt, for schedules that build on it.
    delay: Duration,
    error: Option<BoxError>,
    /// The attempt that failed is one of the message's: the service was called, and not down.
    counts: bool,
    /// How many probes had succeeded when an attempt was last excused by the breaker.
    excused: Option<u64>,
}

/// The service runs, in the context of its attempt. Left in this order.
pub(in crate::policed) struct Entered<'a> {
    _attempt: Option<InAttempt<'a>>,
    _context: Option<context::Entered<'a>>,
}

/// Another attempt with its error so far and its time, or the error that is the answer.
type Next = Result<(BoxError, Option<Instant>), BoxError>;

// === impl Again ===

impl Again {
    /// A call with an end to its time.
    pub(super) fn within(context: CallContext) -> Self {
        Self::new(Some(context), None)
    }

    /// A call that may be looked at, and may have an end to its time.
    pub(in crate::policed) fn new(context: Option<CallContext>, watch: Option<Watch>) -> Self {
        Self {
            context,
            watch,
            made: 0,
            delay: Duration::ZERO,
            error: None,
            counts: false,
            excused: None,
        }
    }

    pub(super) fn made(&self) -> u32 {
        self.made
    }

    pub(super) fn context(&self) -> CallContext {
        self.context.unwrap_or_else(context::current)
    }

    pub(super) fn watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }

    #[inline(never)]
    pub(in crate::policed) fn enter(&mut self) -> Entered<'_> {
        Entered {
            _context: self.context.as_mut().map(context::enter),
            _attempt: self.watch.as_mut().map(Watch::enter),
        }
    }

    /// Tells that an attempt begins.
    pub(in crate::policed) fn tell_attempt(&mut self) {
        let number = self.context().attempt;
        if let Some(watch) = &mut self.watch {
            watch.begin(number);
        }
    }

    #[cold]
    pub(super) fn tell_success(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.succeeded();
        }
    }

    fn tell_failure(&mut self, error: &BoxError) {
        let number = self.context().attempt;
        if let Some(watch) = &mut self.watch {
            watch.failed(number, &**error);
        }
    }

    pub(super) fn take_error(&mut self) -> Option<BoxError> {
        self.error.take()
    }

    /// Counts another attempt, for those whose scope this is too.
    pub(super) fn begin(&mut self, core: &Core) {
        if self.error.as_ref().is_some_and(|error| !is_local(&**error)) {
            core.tally.add_retried();
        }
        if std::mem::take(&mut self.counts) {
            let context = self.context.get_or_insert_with(context::current);
            context.attempt = context.attempt.saturating_add(1);
            context::set_attempt(context.attempt);
        }
        self.tell_attempt();
    }
}

// === impl Run ===

impl Run {
    fn again(&mut self) -> &mut Again {
        let fresh = || Box::new(Again::new(None, None));
        let again = self.again.get_or_insert_with(fresh);
        again.context.get_or_insert_with(context::current);
        again
    }

    pub(in crate::policed) fn keep_error(&mut self, error: BoxError) {
        self.again().error = Some(error);
    }

    /// Gives back what the attempt holds, and decides what follows it.
    pub(in crate::policed) fn failed(
        &mut self,
        core: &Core,
        charged: &Charged,
        error: BoxError,
    ) -> Next {
        if let Some(again) = &mut self.again {
            again.tell_failure(&error);
        }
        if error.is::<Interrupted>() {
            self.release(core, Verdict::Ignored, Latency::Meaningless);
            let source = self.again().take_error();
            return Err(Interrupted { source }.into());
        }
        let now = Instant::now();
        if self.is_late(&error, now) {
            self.release(core, Verdict::Ignored, Latency::Meaningless);
            return Err(error);
        }
        let class = core.classify.classify(&*error);
        let verdict = verdict(class, &error);
        self.release(core, verdict, latency(class, &error));
        let after = match class {
            Class::Permanent => return Err(error),
            Class::Transient { after } => after,
            Class::Overload { after } => {
                hold(
                    core,
                    charged,
                    after.and_then(|after| now.checked_add(after)),
                );
                after
            }
        };
        if verdict == Verdict::Failure && self.is_excused(core) {
            return self.until_deadline(error, after.and_then(|after| now.checked_add(after)));
        }
        self.wait(core, error, after, now)
    }

    /// Whether the time of the call is over. No classifier is asked: there is no more attempt.
    fn is_late(&self, error: &BoxError, now: Instant) -> bool {
        let deadline = self.context().deadline;
        error.is::<DeadlinePassed>() && deadline.is_some_and(|end| end <= now)
    }

    /// Whether the service is down and the call not to blame: it waits, and loses no attempt.
    ///
    /// A call that fails again although others were answered since is to blame, or it would
    /// be the probe that fails for ever.
    fn is_excused(&mut self, core: &Core) -> bool {
        let waiting = core.breaker.as_ref().filter(|breaker| !breaker.rejects());
        let Some(breaker) = waiting.filter(|breaker| !breaker.is_closed()) else {
            return false;
        };
        let answered = breaker.probes_succeeded();
        let before = self.again().excused.replace(answered);
        before.is_none_or(|before| before == answered)
    }

    /// The wait before the next attempt, or why there is none.
    fn wait(
        &mut self,
        core: &Core,
        error: BoxError,
        after: Option<Duration>,
        now: Instant,
    ) -> Next {
        let Some(retry) = &core.retry else {
            return Err(error);
        };
        let again = self.again();
        again.made += 1;
        again.counts = !is_local(&*error);
        let attempts = again.made;
        if attempts >= retry.attempts {
            return Err(exhausted(attempts, error));
        }
        let Some(delay) = retry.backoff.delay(attempts, again.delay, &*error) else {
            return Err(error);
        };
        again.delay = delay;
        let delay = after.map_or(delay, |after| after.max(delay));
        let (source, until) = self.until_deadline(error, now.checked_add(delay))?;
        // What was decided here costs the service nothing.
        if !is_local(&*source) && !retry.budget.withdraw(now) {
            core.tally.add_refused();
            return Err(BudgetSpent { attempts, source }.into());
        }
        Ok((source, until))
    }

    /// A wait that would outlast the deadline is not begun.
    fn until_deadline(&mut self, error: BoxError, until: Option<Instant>) -> Next {
        match (until, self.context().deadline) {
            (Some(until), Some(deadline)) if until >= deadline => {
                Err(self.deadline_passed(Some(error)))
            }
            _ => Ok((error, until)),
        }
    }

    /// The answer of a call that would be repeated, and cannot be: its request is gone.
    #[cold]
    pub(in crate::policed) fn unrepeatable(&self, core: &Core, source: BoxError) -> BoxError {
        let is_excused = self
            .again
            .as_ref()
            .is_some_and(|again| again.excused.is_some());
        let Some(breaker) = core.breaker.as_ref().filter(|_| is_excused) else {
            return source;
        };
        let open_for = breaker.status(Instant::now()).open_for;
        let retry_after = open_for.unwrap_or_default();
        Unavailable {
            retry_after,
            source,
        }
        .into()
    }
}

/// One attempt that failed says all there is to say.
fn exhausted(attempts: u32, source: BoxError) -> BoxError {
    match attempts {
        1 => source,
        _ => Exhausted { attempts, source }.into(),
    }
}

/// What an error says of the service: one that rejects the call has answered. What was
/// decided here says nothing, nor does a call that was given too little time.
pub(in crate::policed) fn verdict(class: Class, error: &BoxError) -> Verdict {
    let has_no_answer =
        find::<Panicked>(&**error).is_some() || find::<DeadlinePassed>(&**error).is_some();
    if is_local(&**error) || has_no_answer {
        return Verdict::Ignored;
    }
    match class {
        Class::Permanent => Verdict::Success,
        Class::Transient { .. } | Class::Overload { .. } => Verdict::Failure,
    }
}

/// What the time of a failed attempt says: one that was refused at once was not served fast.
fn latency(class: Class, error: &BoxError) -> Latency {
    match class {
        Class::Overload { .. } => Latency::Overloaded,
        _ if find::<TimedOut>(&**error).is_some() => Latency::Telling,
        _ => Latency::Meaningless,
    }
}

/// Whoever shares the bucket waits too: the service asked all of them.
fn hold(core: &Core, charged: &Charged, until: Option<Instant>) {
    if let (Some(limiter), Some(want), Some(until)) = (&core.limiter, charged.want(core), until) {
        limiter.hold(want.bucket, until);
    }
}
