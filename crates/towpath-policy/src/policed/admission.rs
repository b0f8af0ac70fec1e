//! How a call gets in: past the breaker, in turn at the limiter, with a permit, to a
//! service that is ready. What it waits for, it waits for without holding anything else
//! that others could use, and the token of the limiter is taken last: calls begin no
//! faster than the rate, whatever else they had to wait for.

mod gate;
mod token;

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;
use tower_service::Service;

use super::{
    core::{Core, Local},
    run::verdict,
    waits::Waits,
};
use crate::{
    BoxError,
    breaker::Pass,
    line::Place,
    observe::{CallObserver, WaitReason},
    rate::{Bucket, Grant, Taken},
    timer::{Timer, poll_until},
};
use token::{Queue, Token};

/// Where a call stands on its way in.
#[derive(Debug, Default)]
pub(super) struct Admission {
    pass: Option<Pass>,
    permit: bool,
    token: Option<Taken>,
    /// Everything is there.
    open: bool,
    /// Something was in the way: it is polled until it gets in.
    begun: bool,
    service: Readiness,
    queue: Queue,
    gate: Place,
    turn: Place,
    seat: Place,
    /// What the shared store of the limiter was asked.
    asked: Option<Grant>,
    /// How often the rate had been changed when it was asked.
    changes: u64,
    timer: Option<Timer>,
    seen: Option<Instant>,
    /// What it has waited for; made by the first wait.
    waits: Option<Box<Waits>>,
}

/// What the service said when it was asked whether it is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Readiness {
    /// It was not asked, or has answered.
    #[default]
    Settled,
    /// It has not answered yet: it may hold what others wait for.
    Pending,
    /// It has failed, and is not to be asked again.
    Failed,
}

/// What a call that may begin holds.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    pub(super) pass: Option<Pass>,
    pub(super) permit: bool,
    /// The clock, if it was read on the way.
    pub(super) seen: Option<Instant>,
}

/// What a call costs at the limiter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) weight: u32,
}

type Result<T> = std::result::Result<T, BoxError>;

impl<'a> Want<'a> {
    /// One token of the one bucket; nothing where there is no limiter.
    #[inline]
    pub(super) fn flat(core: &'a Core) -> Option<Self> {
        let bucket = core.limiter.as_ref()?.global();
        Some(Self { bucket, weight: 1 })
    }
}

impl Admission {
    /// Whether a call may begin.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Gets in: past the breaker, in turn, with a permit, to a service that is ready, with a
    /// token. An error is the answer of the call; nothing is held then.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the way of every call")]
    pub(super) fn poll<S, Q, L>(
        &mut self,
        local: &Local<S, L>,
        inner: &mut S,
        want: Option<Want<'_>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>>
    where
        S: Service<Q> + Clone,
        S::Error: Into<BoxError>,
    {
        if self.open {
            return Poll::Ready(Ok(()));
        }
        if !self.begun && self.take_all(&local.core, inner, want, cx) {
            self.open = true;
            return Poll::Ready(Ok(()));
        }
        self.poll_begun(local, inner, want, cx)
    }

    /// Takes everything at once, where nothing is in the way. What it took when something
    /// is stays taken, and so the service is asked once more then.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the way of nearly every call")]
    fn take_all<S, Q>(
        &mut self,
        core: &Core,
        inner: &mut S,
        want: Option<Want<'_>>,
        cx: &mut Context<'_>,
    ) -> bool
    where
        S: Service<Q>,
    {
        if let Some(breaker) = &core.breaker {
            self.pass = breaker.enter_closed();
            if self.pass.is_none() {
                return false;
            }
        }
        if self.poll_seat(core, cx).is_pending() {
            return false;
        }
        match inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => {
                self.service = Readiness::Failed;
                return false;
            }
            Poll::Pending => return false,
        }
        let (Some(limiter), Some(want)) = (&core.limiter, want) else {
            return true;
        };
        if limiter.remote().is_some() || !want.bucket.line().is_empty() {
            return false;
        }
        let now = Instant::now();
        self.token = limiter.take(want.bucket, want.weight, now).ok();
        self.seen = Some(now);
        self.token.is_some()
    }

    #[cold]
    fn poll_begun<S, Q, L>(
        &mut self,
        local: &Local<S, L>,
        inner: &mut S,
        want: Option<Want<'_>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>>
    where
        S: Service<Q> + Clone,
        S::Error: Into<BoxError>,
    {
        self.begun = true;
        // A service that has failed is not asked again; a clone of it may fare better.
        if self.service == Readiness::Failed {
            self.service = Readiness::Settled;
            *inner = local.spare.service();
        }
        let entered = ready!(self.poll_in(local, inner, want, cx));
        self.end_wait(&local.core);
        match &entered {
            Ok(()) => self.open = true,
            Err(error) => {
                self.record_refusal(&local.core, error);
                self.abandon(&local.core, want);
                // Whoever was refused may idle: it keeps no readiness that others wait for.
                *inner = local.spare.service();
            }
        }
        self.begun = false;
        Poll::Ready(entered)
    }

    /// A service that fails before it is called is as down as one that fails then.
    fn record_refusal(&mut self, core: &Core, error: &BoxError) {
        if let (Some(breaker), Some(pass)) = (&core.breaker, self.pass) {
            let verdict = verdict(core.classify.classify(&**error), error);
            // Only now: if the classifier panics, the drop gives it back.
            self.pass = None;
            breaker.record(pass, verdict, None, Instant::now());
        }
    }

    fn poll_in<S, Q, L>(
        &mut self,
        local: &Local<S, L>,
        inner: &mut S,
        want: Option<Want<'_>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>>
    where
        S: Service<Q> + Clone,
        S::Error: Into<BoxError>,
    {
        let core = &*local.core;
        loop {
            if self.poll_gate(core, cx)?.is_pending() {
                self.step_back(local, inner, want);
                return self.wait(core, WaitReason::CircuitBreaker);
            }
            if let (true, Some(want)) = (self.has_to_queue(), want)
                && self.poll_turn(core, want, cx).is_pending()
            {
                return self.wait(core, WaitReason::RateLimit);
            }
            if self.poll_seat(core, cx).is_pending() {
                return self.wait(core, WaitReason::Concurrency);
            }
            let Poll::Ready(readied) = inner.poll_ready(cx) else {
                self.service = Readiness::Pending;
                return self.wait(core, WaitReason::Service);
            };
            self.service = Readiness::Settled;
            readied.map_err(Into::into)?;
            if self.has_pass(core) {
                match self.poll_token(core, want, cx) {
                    Poll::Ready(Ok(Token::Taken)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(Token::Later)) => {}
                    Poll::Ready(Err(refused)) => return Poll::Ready(Err(refused)),
                    Poll::Pending => return self.wait(core, WaitReason::RateLimit),
                }
            }
            // While it waits it holds no permit, and no readiness that others may wait for.
            core.stand_up(&mut self.permit);
            *inner = local.spare.service();
        }
    }

    /// The gate was shut behind it: whoever has a pass now finds neither a line that it
    /// heads, nor a permit or a readiness that it holds.
    #[inline]
    fn step_back<S: Clone, L>(
        &mut self,
        local: &Local<S, L>,
        inner: &mut S,
        want: Option<Want<'_>>,
    ) {
        let core = &*local.core;
        // What a store grants now would be used much later.
        self.asked = None;
        if let (true, Some(want)) = (self.turn.is_waiting(), want) {
            want.bucket.line().leave(&mut self.turn);
        }
        if let Some(seats) = &core.seats {
            seats.permits().leave(&mut self.seat);
        }
        if self.permit || self.service == Readiness::Pending {
            self.service = Readiness::Settled;
            core.stand_up(&mut self.permit);
            *inner = local.spare.service();
        }
    }

    #[inline]
    fn poll_seat(&mut self, core: &Core, cx: &mut Context<'_>) -> Poll<()> {
        if let (Some(seats), false) = (&core.seats, self.permit) {
            ready!(seats.permits().poll_acquire(&mut self.seat, cx.waker()));
            self.permit = true;
        }
        Poll::Ready(())
    }

    /// Waits for a time on the alarm that other waits use later.
    pub(super) fn poll_sleep(
        &mut self,
        core: &Core,
        until: Instant,
        reason: WaitReason,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if poll_until(&mut self.timer, until, cx).is_pending() {
            return self.wait(core, reason);
        }
        self.end_wait(core);
        Poll::Ready(())
    }

    /// Notes what it waits for.
    #[cold]
    fn wait<T>(&mut self, core: &Core, reason: WaitReason) -> Poll<T> {
        let waits = self.waits.get_or_insert_default();
        waits.begin(reason, &core.tally.waits);
        Poll::Pending
    }

    #[cold]
    fn end_wait(&mut self, core: &Core) {
        if let Some(waits) = &mut self.waits {
            waits.end(&core.tally.waits);
        }
    }

    /// Tells whoever looks at the call that begins what it has waited for; also where nobody
    /// does, so that the next call is not told.
    #[inline]
    pub(super) fn tell_waits(&mut self, observer: Option<&Arc<dyn CallObserver>>) {
        if let Some(waits) = &mut self.waits {
            waits.tell(observer);
        }
    }

    /// Hands what was gathered to a call that begins now; the alarm stays.
    #[inline]
    pub(super) fn take(&mut self) -> Ticket {
        self.open = false;
        self.token = None;
        Ticket {
            pass: self.pass.take(),
            permit: std::mem::take(&mut self.permit),
            seen: self.seen.take(),
        }
    }

    /// Gives back what was gathered, and leaves every line.
    pub(super) fn abandon(&mut self, core: &Core, want: Option<Want<'_>>) {
        self.open = false;
        self.begun = false;
        self.queue = Queue::Nowhere;
        self.asked = None;
        self.end_wait(core);
        core.stand_up(&mut self.permit);
        if let Some(breaker) = &core.breaker {
            breaker.line().leave(&mut self.gate);
        }
        core.cancel(&mut self.pass);
        if let Some(seats) = &core.seats {
            seats.permits().leave(&mut self.seat);
        }
        if let (Some(limiter), Some(want)) = (&core.limiter, want) {
            want.bucket.line().leave(&mut self.turn);
            if let Some(token) = self.token.take() {
                limiter.give_back(want.bucket, token, Instant::now());
            }
        }
    }
}
