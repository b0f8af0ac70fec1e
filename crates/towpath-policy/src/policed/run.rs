//! How far a call has come: what its attempt holds, when that ends, and what follows.

mod failed;
mod watch;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    admission::Ticket,
    core::{Core, Local},
    parked::Parked,
    seats::Latency,
};
use crate::{
    BoxError,
    breaker::Verdict,
    context::{self, CallContext},
    error::{DeadlinePassed, Panicked, TimedOut},
    panic_guard,
    timer::Timer,
};
pub(super) use failed::Again;
pub(super) use failed::verdict;
pub(crate) use watch::Watch;

/// The run of one call. A call that goes well at once carries little: the rest is made
/// when it is needed.
pub(super) struct Run {
    ticket: Ticket,
    alarm: Option<Box<Alarm>>,
    again: Option<Box<Again>>,
}

/// When an attempt ends, from its first `Pending` on. Kept from call to call.
#[derive(Debug)]
pub(super) struct Alarm {
    ends: Option<Ends>,
    pub(super) timer: Timer,
}

/// When an attempt ends, and as what.
#[derive(Clone, Copy, Debug)]
enum Ends {
    ByTimeout(Instant, Duration),
    ByDeadline(Instant),
}

impl Run {
    #[inline]
    pub(super) fn begin(core: &Core, ticket: Ticket, within: Option<CallContext>) -> Self {
        let again = within.map(|context| Box::new(Again::within(context)));
        Self::begin_with(core, ticket, again)
    }

    #[inline]
    pub(super) fn begin_with(core: &Core, ticket: Ticket, again: Option<Box<Again>>) -> Self {
        let mut run = Self {
            ticket,
            alarm: None,
            again,
        };
        if core.wants_start {
            // Not what was seen on the way in: a service may be ready long before it is called.
            run.ticket.seen = Some(Instant::now());
        }
        if let Some(retry) = &core.retry {
            retry.budget.deposit();
        }
        run
    }

    /// The beginning of the attempt, near enough: read once.
    fn look_at_clock(&mut self) -> Instant {
        *self.ticket.seen.get_or_insert_with(Instant::now)
    }

    /// Begins another attempt, or the first of a call that had to wait.
    #[cold]
    pub(super) fn begin_again(&mut self, core: &Core, ticket: Ticket) {
        if let Some(again) = &mut self.again {
            again.begin(core);
        }
        self.ticket = ticket;
        if core.wants_start {
            self.look_at_clock();
        }
        if let Some(alarm) = &mut self.alarm {
            alarm.forget_end();
        }
    }

    /// Whether another attempt may follow the one that runs.
    pub(super) fn may_repeat(&self, core: &Core) -> bool {
        let made = self.again.as_ref().map_or(0, |again| again.made());
        made + 1 < core.attempts() || core.waits_for_backend()
    }

    /// Enters the context of the attempt, where it has one of its own, and tells who looks.
    #[inline]
    fn enter(&mut self) -> Option<failed::Entered<'_>> {
        self.again.as_mut().map(|again| again.enter())
    }

    /// Runs code of the service in the context of the attempt.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "saves a copy of what `f` returns")]
    pub(super) fn scoped<T>(&mut self, f: impl FnOnce() -> T) -> T {
        let entered = self.enter();
        let result = f();
        drop(entered);
        result
    }

    /// Polls the attempt, and its end in time when it is pending.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "saves copies of answers: the way of every call"
    )]
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
        let polled = if local.core.guards {
            match self.poll_guarded(future, cx) {
                Ok(polled) => polled,
                Err(panicked) => return Poll::Ready(Err(panicked.into())),
            }
        } else if let Some(again) = &mut self.again {
            poll_within(again, future, cx)
        } else {
            future.poll(cx)
        };
        match polled {
            Poll::Ready(result) => Poll::Ready(result.map_err(Into::into)),
            Poll::Pending => self.poll_end(local, cx).map(Err),
        }
    }

    #[inline(never)]
    fn poll_guarded<F: Future>(
        &mut self,
        future: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Result<Poll<F::Output>, Panicked> {
        self.scoped(|| panic_guard::catch(|| future.poll(cx)))
    }

    #[inline(never)]
    fn poll_end<S, L>(&mut self, local: &Local<S, L>, cx: &mut Context<'_>) -> Poll<BoxError> {
        let known = self.alarm.as_ref().and_then(|alarm| alarm.ends);
        let Some(ends) = known.or_else(|| self.find_end(local.core.timeout)) else {
            return Poll::Pending;
        };
        let (Ends::ByTimeout(until, _) | Ends::ByDeadline(until)) = ends;
        let alarm = self.alarm.get_or_insert_with(|| local.alarm(until));
        alarm.ends = Some(ends);
        ready!(alarm.timer.poll_until(until, cx));
        Poll::Ready(match ends {
            Ends::ByTimeout(_, limit) => {
                local.core.tally.add_timed_out();
                TimedOut { limit }.into()
            }
            Ends::ByDeadline(_) => self.deadline_passed(None),
        })
    }

    fn find_end(&self, timeout: Option<Duration>) -> Option<Ends> {
        // Not what was seen on the way in: a service may be ready long before it is called.
        let now = Instant::now;
        let timeout = timeout.and_then(|limit| Some((now().checked_add(limit)?, limit)));
        match (timeout, self.context().deadline) {
            (Some((at, limit)), None) => Some(Ends::ByTimeout(at, limit)),
            (Some((at, limit)), Some(deadline)) if at < deadline => {
                Some(Ends::ByTimeout(at, limit))
            }
            (_, Some(deadline)) => Some(Ends::ByDeadline(deadline)),
            (None, None) => None,
        }
    }

    /// The context of the attempt: its own, or the one it is polled in.
    fn context(&self) -> CallContext {
        match &self.again {
            Some(again) => again.context(),
            None => context::current(),
        }
    }

    /// Tells what a call that was parked has waited for.
    pub(super) fn tell_waits<S, Q>(&mut self, parked: &mut Parked<S, Q>) {
        if let Some(watch) = self.again.as_ref().and_then(|again| again.watch()) {
            parked.tell_waits(watch.observer());
        }
    }

    /// What a parked call waits for, no longer than its deadline.
    pub(super) fn poll_parked<S, L>(
        &mut self,
        local: &Local<S, L>,
        entered: Poll<Result<Ticket, BoxError>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ticket, BoxError>> {
        if let (Poll::Pending, Some(deadline)) = (&entered, self.context().deadline) {
            let alarm = self.alarm.get_or_insert_with(|| local.alarm(deadline));
            ready!(alarm.timer.poll_until(deadline, cx));
            return Poll::Ready(Err(self.deadline_passed(None)));
        }
        entered
    }

    #[cold]
    fn deadline_passed(&mut self, error: Option<BoxError>) -> BoxError {
        let last = || self.again.as_mut().and_then(|again| again.take_error());
        let source = error.or_else(last);
        DeadlinePassed { source }.into()
    }

    /// The attempt has answered, and the call is over.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the way of every call that goes well")]
    pub(super) fn succeed<S, L>(&mut self, local: &Local<S, L>) {
        if let Some(again) = &mut self.again {
            again.tell_success();
        }
        self.release(&local.core, Verdict::Success, Latency::Telling);
        self.end(local);
    }

    /// The call is over: its alarm is for the next one.
    #[inline]
    pub(super) fn end<S, L>(&mut self, local: &Local<S, L>) {
        if let Some(alarm) = self.alarm.take() {
            local.keep(alarm);
        }
    }

    /// Gives back what the attempt holds, and says how it went.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the way of every call that goes well")]
    fn release(&mut self, core: &Core, verdict: Verdict, latency: Latency) {
        if core.wants_start {
            return self.release_measured(core, verdict, latency);
        }
        core.stand_up(&mut self.ticket.permit);
        if let (Some(breaker), Some(pass)) = (&core.breaker, self.ticket.pass.take()) {
            // For a success that changes nothing, the clock as it was at the beginning will do.
            let is_plain = verdict == Verdict::Success && !pass.is_probe();
            let seen = self.ticket.seen.filter(|_| is_plain);
            breaker.record(pass, verdict, None, seen.unwrap_or_else(Instant::now));
        }
    }

    #[inline(never)]
    fn release_measured(&mut self, core: &Core, verdict: Verdict, latency: Latency) {
        let now = Instant::now();
        let took = now.saturating_duration_since(self.look_at_clock());
        if let (Some(seats), true) = (&core.seats, self.ticket.permit) {
            self.ticket.permit = false;
            seats.finish(took, latency, now);
        }
        if let (Some(breaker), Some(pass)) = (&core.breaker, self.ticket.pass.take()) {
            breaker.record(pass, verdict, Some(took), now);
        }
    }

    /// The call was dropped: its attempt says nothing of the service.
    pub(super) fn abandon(&mut self, core: &Core) {
        core.stand_up(&mut self.ticket.permit);
        core.cancel(&mut self.ticket.pass);
    }
}

/// Polls an attempt that has a context of its own, or that somebody looks at.
#[inline(never)]
fn poll_within<F: Future>(
    again: &mut Again,
    future: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    let _entered = again.enter();
    future.poll(cx)
}

// === impl Alarm ===

impl Alarm {
    pub(super) fn new(until: Instant) -> Self {
        Self {
            ends: None,
            timer: Timer::new(until),
        }
    }

    pub(super) fn forget_end(&mut self) {
        self.ends = None;
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("again", &self.again)
            .finish_non_exhaustive()
    }
}
