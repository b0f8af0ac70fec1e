//! An alarm that is kept from call to call: setting it again is what a timer costs.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::{
    runtime::{Handle, Id},
    task::coop,
    time::{Instant, Sleep, sleep_until},
};

/// Wakes its task at an instant, or earlier for nothing.
///
/// An alarm that is set for earlier is left as it is; when it goes off it is set again.
/// Most calls end long before, so that most alarms are never set at all.
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    /// Who is woken by it.
    waker: Option<Waker>,
    runtime: Option<Id>,
}

impl Timer {
    pub(crate) fn new(until: Instant) -> Self {
        Self {
            sleep: Box::pin(sleep_until(until)),
            waker: None,
            runtime: runtime(),
        }
    }

    /// Whether it was made by the runtime that runs now: another's may be gone.
    pub(crate) fn is_usable(&self) -> bool {
        self.runtime == runtime()
    }

    /// Ready when `until` has come.
    pub(crate) fn poll_until(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_set_for(until, cx.waker()) {
            return Poll::Pending;
        }
        if self.sleep.deadline() > until || self.sleep.is_elapsed() {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(until);
        }
        self.poll_sleep(until, cx)
    }

    fn is_set_for(&self, until: Instant, waker: &Waker) -> bool {
        let is_known = self.waker.as_ref().is_some_and(|w| w.will_wake(waker));
        is_known && self.sleep.deadline() <= until && !self.sleep.is_elapsed()
    }

    fn poll_sleep(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        // A task that has used up its turn is told to come again, and nothing is set.
        let mut sets = coop::has_budget_remaining();
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(until);
            sets = coop::has_budget_remaining();
        }
        if !sets {
            self.waker = None;
            return Poll::Pending;
        }
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

fn runtime() -> Option<Id> {
    Handle::try_current().ok().map(|handle| handle.id())
}

/// A place for an alarm: made at the first wait.
pub(crate) fn poll_until(
    timer: &mut Option<Timer>,
    until: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    timer
        .get_or_insert_with(|| Timer::new(until))
        .poll_until(until, cx)
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("deadline", &self.sleep.deadline())
            .finish_non_exhaustive()
    }
}
