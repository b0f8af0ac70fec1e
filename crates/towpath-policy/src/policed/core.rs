//! What all clones of a service share, and what one clone and its calls do.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::Waker,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    breaker::{Breaker, Pass},
    class::Classify,
    context::{self, CallContext},
    error::RateLimited,
    line::{Line, Place},
    lock::lock,
    rate::Limiter,
    retry::Retrying,
    spare::Spare,
};

use super::{run::Alarm, seats::Seats, waits::WaitTally};

/// The policies of all clones of a service.
pub(crate) struct Core {
    pub(crate) limiter: Option<Limiter>,
    pub(crate) breaker: Option<Breaker>,
    pub(crate) seats: Option<Seats>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Option<Retrying>,
    pub(crate) classify: Arc<dyn Classify>,
    pub(crate) guards: bool,
    /// Whether a policy looks at how long attempts take, or from when on.
    pub(crate) wants_start: bool,
    /// Whether another attempt may follow a first one.
    pub(crate) repeats: bool,
    pub(crate) tally: Tally,
    pub(crate) drain: Drain,
}

/// Whether calls should still wait for another attempt, or for the service to come back.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    begun: AtomicBool,
    /// Calls that wait for another attempt.
    line: Line,
}

/// What is counted where something is in the way; calls that go well count nothing here.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    retried: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
    rejected: AtomicU64,
    limited: AtomicU64,
    pub(super) waits: WaitTally,
    parked: AtomicUsize,
}

/// What one clone of the service and its calls share.
pub(super) struct Local<S, L> {
    pub(super) core: Arc<Core>,
    pub(super) charge: Option<Arc<L>>,
    /// Where an attempt needs a service of its own.
    pub(super) spare: Spare<S>,
    alarm: Mutex<Option<Box<Alarm>>>,
}

// === impl Core ===

impl Core {
    /// Attempts of a call at most.
    #[inline]
    pub(super) fn attempts(&self) -> u32 {
        self.retry.as_ref().map_or(1, |retry| retry.attempts)
    }

    /// The context of a call that begins now, where the time for all its attempts is limited.
    #[inline]
    pub(super) fn begin_time(&self) -> Option<CallContext> {
        let limit = self.retry.as_ref()?.deadline?;
        Some(context::current().until(Instant::now().checked_add(limit)))
    }

    /// Gives a permit back, where one is held.
    #[inline]
    pub(super) fn stand_up(&self, permit: &mut bool) {
        if let (Some(seats), true) = (&self.seats, *permit) {
            *permit = false;
            seats.permits().release();
        }
    }

    /// Gives a pass back unused, where one is held.
    #[inline]
    pub(super) fn cancel(&self, pass: &mut Option<Pass>) {
        if let (Some(breaker), Some(pass)) = (&self.breaker, pass.take()) {
            breaker.cancel(pass);
        }
    }

    /// Whether messages may wait for the breaker to close, however many attempts they have had.
    pub(super) fn waits_for_backend(&self) -> bool {
        self.breaker.as_ref().is_some_and(|b| !b.rejects())
    }

    /// What a call is told for which there is no room before `later`, where it may not wait.
    #[cold]
    pub(super) fn refuses_until(&self, later: Instant) -> Option<RateLimited> {
        let retry_after = later.saturating_duration_since(Instant::now());
        let rejects = self.limiter.as_ref().is_some_and(Limiter::rejects);
        rejects.then(|| self.limited(RateLimited::NoBudget { retry_after }))
    }

    /// The limiter has refused a call: counts it.
    #[cold]
    pub(super) fn limited<E>(&self, refused: E) -> E {
        self.tally.limited.fetch_add(1, Relaxed);
        refused
    }

    /// Ends the waits for another attempt and for the service to come back, now and later.
    pub(crate) fn drain(&self) {
        self.drain.begun.store(true, SeqCst);
        self.drain.line.wake_all();
        if let Some(breaker) = &self.breaker {
            breaker.line().wake_all();
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

// === impl Drain ===

impl Drain {
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(SeqCst)
    }

    /// Whether to go on waiting: wakes when that changes.
    pub(super) fn interrupts(&self, place: &mut Place, waker: &Waker) -> bool {
        self.line.join(place, waker);
        self.has_begun()
    }

    pub(super) fn leave(&self, place: &mut Place) {
        self.line.leave(place);
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn add_retried(&self) {
        self.retried.fetch_add(1, Relaxed);
    }

    pub(super) fn add_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn add_timed_out(&self) {
        self.timed_out.fetch_add(1, Relaxed);
    }

    /// The breaker has refused a call.
    pub(super) fn add_rejected(&self) {
        self.rejected.fetch_add(1, Relaxed);
    }

    pub(super) fn park(&self) {
        self.parked.fetch_add(1, Relaxed);
    }

    pub(super) fn unpark(&self) {
        self.parked.fetch_sub(1, Relaxed);
    }

    pub(crate) fn retried(&self) -> u64 {
        self.retried.load(Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn timed_out(&self) -> u64 {
        self.timed_out.load(Relaxed)
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }

    pub(crate) fn limited(&self) -> u64 {
        self.limited.load(Relaxed)
    }

    pub(crate) fn waits(&self) -> &WaitTally {
        &self.waits
    }

    pub(crate) fn parked(&self) -> usize {
        self.parked.load(Relaxed)
    }
}

// === impl Local ===

impl<S: Clone, L> Local<S, L> {
    pub(super) fn new(core: Arc<Core>, charge: Option<Arc<L>>, spare: S) -> Self {
        Self {
            core,
            charge,
            spare: Spare::new(spare),
            alarm: Mutex::new(None),
        }
    }
}

impl<S, L> Local<S, L> {
    /// The alarm of an earlier call, or a new one.
    #[expect(
        clippy::unnecessary_box_returns,
        reason = "the box is kept from call to call"
    )]
    pub(super) fn alarm(&self, until: Instant) -> Box<Alarm> {
        let kept = lock(&self.alarm).take();
        let usable = kept.filter(|alarm| alarm.timer.is_usable());
        usable.unwrap_or_else(|| Box::new(Alarm::new(until)))
    }

    /// Keeps an alarm for the next call: setting it again is what a timer costs.
    pub(super) fn keep(&self, mut alarm: Box<Alarm>) {
        alarm.forget_end();
        *lock(&self.alarm) = Some(alarm);
    }
}

impl<S, L> fmt::Debug for Local<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}
