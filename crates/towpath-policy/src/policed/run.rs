//! How far a call has come: what its attempt holds, when that ends, and what follows.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    admission::Ticket,
    charged::Charged,
    core::{Core, Local},
};
use crate::{
    BoxError, Class,
    breaker::Verdict,
    class::is_local,
    context::{self, CallContext},
    error::{BudgetSpent, DeadlinePassed, Exhausted, Interrupted, Panicked, TimedOut, Unavailable, find},
    panic_guard,
    retry::Retrying,
    timer::{Timer, poll_until},
};

/// The run of one call.
pub(super) struct Run {
    ticket: Ticket,
    context: CallContext,
    /// The context is not the one that the future is polled in: attempts after the first.
    has_scope: bool,
    /// Attempts that count.
    made: u32,
    /// The delay before the attempt, for schedules that build on it.
    delay: Duration,
    ends: Ends,
    started: Option<Instant>,
    timer: Option<Timer>,
    last: Option<BoxError>,
}

/// When an attempt ends. Known from its first `Pending` on: most calls need no clock.
#[derive(Clone, Copy, Default)]
enum Ends {
    #[default]
    Unknown,
    Never,
    ByTimeout(Instant, Duration),
    ByDeadline(Instant),
}

/// What follows an attempt.
pub(super) enum Step<T> {
    /// The call is over.
    Answer(Result<T, BoxError>),
    /// Another attempt, no sooner than `until`.
    Again {
        error: BoxError,
        until: Option<Instant>,
    },
}

impl Run {
    #[inline]
    pub(super) fn begin(core: &Core, ticket: Ticket) -> Self {
        let mut run = Self {
            started: core
                .measures()
                .then(|| ticket.seen.unwrap_or_else(Instant::now)),
            ticket,
            context: context::current(),
            has_scope: false,
            made: 0,
            delay: Duration::ZERO,
            ends: Ends::Unknown,
            timer: None,
            last: None,
        };
        if let Some(retry) = &core.retry {
            retry.budget.deposit();
            run.limit(retry);
        }
        run
    }

    #[inline]
    fn limit(&mut self, retry: &Retrying) {
        if let Some(deadline) = retry.deadline {
            let now = self.ticket.seen.unwrap_or_else(Instant::now);
            self.context = self.context.until(now.checked_add(deadline));
            self.has_scope = true;
        }
    }

    /// Begins another attempt.
    #[cold]
    pub(super) fn begin_again(&mut self, core: &Core, ticket: Ticket) {
        if self.last.is_some() {
            core.tally.add_retried();
            self.context.attempt = self.context.attempt.saturating_add(1);
            self.has_scope = true;
            context::set_attempt(self.context.attempt);
        }
        self.started = core
            .measures()
            .then(|| ticket.seen.unwrap_or_else(Instant::now));
        self.ticket = ticket;
        self.ends = Ends::Unknown;
    }

    /// Whether another attempt may follow the one that runs.
    #[inline]
    pub(super) fn may_repeat(&self, core: &Core) -> bool {
        let attempts = core.retry.as_ref().map_or(1, |retry| retry.attempts);
        self.made + 1 < attempts || core.waits_for_backend()
    }

    /// Runs code of the service in the context of the attempt.
    #[inline]
    pub(super) fn scoped<T>(&mut self, f: impl FnOnce() -> T) -> T {
        if self.has_scope {
            context::scope(&mut self.context, f)
        } else {
            f()
        }
    }

    /// Polls the attempt, and its end in time when it is pending.
    #[inline]
    pub(super) fn poll_call<S, L, F, T, E>(
        &mut self,
        local: &Local<S, L>,
        future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, BoxError>>
    where
        F: Future<Output = Result<T, E>>,
        E: Into<BoxError>,
    {
        let guards = local.core.guards;
        let polled = self.scoped(|| panic_guard::call(guards, || future.poll(cx)));
        match polled {
            Ok(Poll::Ready(result)) => Poll::Ready(result.map_err(Into::into)),
            Ok(Poll::Pending) => self.poll_end(local, cx).map(Err),
            Err(panicked) => Poll::Ready(Err(panicked.into())),
        }
    }

    fn poll_end<S, L>(&mut self, local: &Local<S, L>, cx: &mut Context<'_>) -> Poll<BoxError> {
        if let Ends::Unknown = self.ends {
            self.ends = self.find_end(local.core.timeout);
        }
        let (Ends::ByTimeout(until, _) | Ends::ByDeadline(until)) = self.ends else {
            return Poll::Pending;
        };
        ready!(self.poll_timer(local, until, cx));
        Poll::Ready(match self.ends {
            Ends::ByTimeout(_, limit) => {
                local.core.tally.add_timed_out();
                TimedOut { limit }.into()
            }
            _ => self.deadline_passed(None),
        })
    }

    fn find_end(&self, timeout: Option<Duration>) -> Ends {
        let began = || self.ticket.seen.unwrap_or_else(Instant::now);
        let by_timeout = timeout.and_then(|limit| Some((began().checked_add(limit)?, limit)));
        match (by_timeout, self.context.deadline) {
            (Some((at, limit)), None) => Ends::ByTimeout(at, limit),
            (Some((at, limit)), Some(deadline)) if at < deadline => Ends::ByTimeout(at, limit),
            (_, Some(deadline)) => Ends::ByDeadline(deadline),
            (None, None) => Ends::Never,
        }
    }

    fn poll_timer<S, L>(
        &mut self,
        local: &Local<S, L>,
        until: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.timer.is_none() {
            self.timer = local.take_timer();
        }
        poll_until(&mut self.timer, until, cx)
    }

    /// What a parked call waits for, no longer than its deadline.
    pub(super) fn poll_parked<S, L>(
        &mut self,
        local: &Local<S, L>,
        entered: Poll<Result<Ticket, BoxError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ticket, BoxError>> {
        if let (Poll::Pending, Some(deadline)) = (&entered, self.context.deadline) {
            ready!(self.poll_timer(local, deadline, cx));
            return Poll::Ready(Err(self.deadline_passed(None)));
        }
        entered
    }

    #[cold]
    fn deadline_passed(&mut self, error: Option<BoxError>) -> BoxError {
        let source = error.or_else(|| self.last.take());
        DeadlinePassed { source }.into()
    }

    pub(super) fn keep_error(&mut self, error: BoxError) {
        self.last = Some(error);
    }

    /// Gives back what the attempt holds, and decides what follows it.
    #[inline]
    pub(super) fn settle<T>(
        &mut self,
        core: &Core,
        charged: &Charged,
        result: Result<T, BoxError>,
    ) -> Step<T> {
        match result {
            Ok(answer) => {
                self.release(core, Verdict::Success, false);
                Step::Answer(Ok(answer))
            }
            Err(error) => match self.failed(core, charged, error) {
                Ok((error, until)) => Step::Again { error, until },
                Err(error) => Step::Answer(Err(error)),
            },
        }
    }

    /// `Ok` means that another attempt follows.
    #[cold]
    fn failed(
        &mut self,
        core: &Core,
        charged: &Charged,
        error: BoxError,
    ) -> Result<(BoxError, Option<Instant>), BoxError> {
        if error.is::<Interrupted>() {
            self.release(core, Verdict::Ignored, false);
            let source = self.last.take();
            return Err(Interrupted { source }.into());
        }
        let class = class_of(core, &error);
        let overloaded = matches!(class, Class::Overload { .. });
        self.release(core, verdict(&class, &error), overloaded);
        let now = Instant::now();
        let after = match class {
            Class::Permanent => return Err(error),
            Class::Transient { after } => after,
            Class::Overload { after } => {
                hold(core, charged, after.and_then(|after| now.checked_add(after)));
                after
            }
        };
        // The service is down and the call is not to blame: it waits, and loses no attempt.
        if core.waits_for_backend() && core.is_cut_off() {
            return self.until_deadline(error, after.and_then(|after| now.checked_add(after)));
        }
        self.wait(core, error, after, now)
    }

    /// The wait before the next attempt, or why there is none.
    fn wait(
        &mut self,
        core: &Core,
        error: BoxError,
        after: Option<Duration>,
        now: Instant,
    ) -> Result<(BoxError, Option<Instant>), BoxError> {
        let Some(retry) = &core.retry else {
            return Err(error);
        };
        self.made += 1;
        let attempts = self.made;
        if attempts >= retry.attempts {
            return Err(match attempts {
                1 => error,
                _ => Exhausted {
                    attempts,
                    source: error,
                }
                .into(),
            });
        }
        let Some(delay) = retry.backoff.delay(attempts, self.delay, &*error) else {
            return Err(error);
        };
        self.delay = delay;
        let delay = after.map_or(delay, |after| after.max(delay));
        let (source, until) = self.until_deadline(error, now.checked_add(delay))?;
        // What was decided here costs the service nothing, and a retry that will not be, too.
        if !is_local(&*source) && !retry.budget.withdraw(now) {
            core.tally.add_refused();
            return Err(BudgetSpent { attempts, source }.into());
        }
        Ok((source, until))
    }

    /// A wait that would outlast the deadline is not begun.
    fn until_deadline(
        &mut self,
        error: BoxError,
        until: Option<Instant>,
    ) -> Result<(BoxError, Option<Instant>), BoxError> {
        match (until, self.context.deadline) {
            (Some(until), Some(deadline)) if until >= deadline => {
                Err(self.deadline_passed(Some(error)))
            }
            _ => Ok((error, until)),
        }
    }

    /// The answer of a call that would be repeated, and cannot be: its request is gone.
    #[cold]
    pub(super) fn unrepeatable(&self, core: &Core, source: BoxError) -> BoxError {
        match &core.breaker {
            Some(breaker) if core.is_cut_off() => {
                let open_for = breaker.status(Instant::now()).open_for;
                let retry_after = open_for.unwrap_or_default();
                Unavailable {
                    retry_after,
                    source,
                }
                .into()
            }
            _ => source,
        }
    }

    /// Gives back what the attempt holds, and says how it went.
    #[inline]
    fn release(&mut self, core: &Core, verdict: Verdict, overloaded: bool) {
        let took = self.started.take().map(|started| {
            let now = Instant::now();
            self.ticket.seen = Some(now);
            now.saturating_duration_since(started)
        });
        if let (Some(seats), true) = (&core.seats, self.ticket.permit) {
            self.ticket.permit = false;
            seats.finish(took, overloaded, self.ticket.seen);
        }
        if let (Some(breaker), Some(pass)) = (&core.breaker, self.ticket.pass.take()) {
            let now = self.ticket.seen.unwrap_or_else(Instant::now);
            breaker.record(pass, verdict, took, now);
        }
    }

    /// The call was dropped: its attempt says nothing of the service.
    #[inline]
    pub(super) fn abandon(&mut self, core: &Core) {
        if let (Some(seats), true) = (&core.seats, self.ticket.permit) {
            self.ticket.permit = false;
            seats.permits().release();
        }
        if let (Some(breaker), Some(pass)) = (&core.breaker, self.ticket.pass.take()) {
            breaker.cancel(pass);
        }
    }

    pub(super) fn timer(&mut self) -> &mut Option<Timer> {
        &mut self.timer
    }
}

fn class_of(core: &Core, error: &BoxError) -> Class {
    core.classify.classify(&**error)
}

/// What an error says of the service: one that rejects the call has answered, and what
/// was decided here says nothing.
fn verdict(class: &Class, error: &BoxError) -> Verdict {
    if is_local(&**error) || find::<Panicked>(&**error).is_some() {
        return Verdict::Ignored;
    }
    match class {
        Class::Permanent => Verdict::Success,
        Class::Transient { .. } | Class::Overload { .. } => Verdict::Failure,
    }
}

/// Whoever shares the bucket waits too: the service asked all of them.
fn hold(core: &Core, charged: &Charged, until: Option<Instant>) {
    if let (Some(limiter), Some(want), Some(until)) = (&core.limiter, charged.want(core), until) {
        limiter.hold(want.bucket, until);
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("context", &self.context)
            .field("attempts", &self.made)
            .finish_non_exhaustive()
    }
}
