//! Circuit breaker: stops calling what fails, and finds out when it works again.
//!
//! ```text
//!            too many failed or slow calls in the window
//!   Closed ───────────────────────────────────────────────▶ Open
//!      ▲                                                    │  ▲
//!      │ enough probes                      open time over, │  │ a probe failed,
//!      │ succeeded                          somebody calls  ▼  │ was slow, or hung
//!      └────────────────────────────────────────────── HalfOpen
//! ```
//!
//! Each change begins a new generation, and the result of a call counts only in the
//! generation that let it through. Time passes only where a call looks at the clock: an
//! open breaker that nobody asks stays open.

mod change;
mod machine;
mod names;
mod options;
mod settings;
mod shared;
mod status;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod window;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

pub use change::{Subscription, Transition, TransitionReason};
pub use options::{CircuitBreaker, Growing, SlowCalls, WhenOpen};
pub use status::{BreakerState, BreakerStatus, Forced};

use crate::line::Line;
use shared::Shared;

/// A circuit breaker, as one stage sees it: stages that share it by name differ only in
/// whether their calls wait.
#[derive(Clone)]
pub(crate) struct Breaker {
    shared: Arc<Shared>,
    rejects: bool,
}

/// Leave to make one call. It ends as [`record`](Breaker::record) or
/// [`cancel`](Breaker::cancel): a probe that does neither is missed until the half-open
/// time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    generation: u64,
    probe: bool,
}

/// What a call that would begin is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Pass(Pass),
    /// It is open, or all probes are out: look again then, or when woken through the line.
    Wait {
        until: Instant,
    },
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Success,
    Failure,
    /// It says nothing about the service: as if it had been cancelled.
    Ignored,
}

// === impl Breaker ===

impl Breaker {
    fn new(shared: Arc<Shared>, rejects: bool) -> Self {
        Self { shared, rejects }
    }

    /// A pass, when the breaker is closed: one atomic load, and no clock.
    #[inline]
    pub(crate) fn enter_closed(&self) -> Option<Pass> {
        self.shared.enter_closed()
    }

    /// A pass, or when to look again.
    pub(crate) fn enter(&self, now: Instant) -> Entry {
        match self.enter_closed() {
            Some(pass) => Entry::Pass(pass),
            None => self.shared.enter(now),
        }
    }

    /// How long those are told to stay away who were to look again at `until` and do not wait.
    pub(crate) fn retry_after(&self, until: Instant, now: Instant) -> Duration {
        self.shared.retry_after(until, now)
    }

    /// Counts a call that has ended. `took` is looked at only when the breaker
    /// [`measures`](Self::measures).
    #[inline]
    pub(crate) fn record(
        &self,
        pass: Pass,
        verdict: Verdict,
        took: Option<Duration>,
        now: Instant,
    ) {
        self.shared.record(pass, verdict, took, now);
    }

    /// Whether slow calls count.
    #[inline]
    pub(crate) fn measures(&self) -> bool {
        self.shared.settings().slow.is_some()
    }

    /// Gives a pass back: the call was dropped, and does not count.
    #[inline]
    pub(crate) fn cancel(&self, pass: Pass) {
        if pass.probe {
            self.shared.give_back(pass);
        }
    }

    /// How many probes have succeeded so far.
    pub(crate) fn probes_succeeded(&self) -> u64 {
        self.shared.probes_succeeded()
    }

    /// Whether the result of a call with this pass would still count.
    #[inline]
    pub(crate) fn is_current(&self, pass: Pass) -> bool {
        self.shared.is_current(pass)
    }

    /// Whether all calls are let through.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.state().lets_all_through()
    }

    /// Where those wait that were not let through: the first is woken at each change, the
    /// others when all are let through.
    #[inline]
    pub(crate) fn line(&self) -> &Line {
        self.shared.line()
    }

    /// Whether calls that are not let through fail at once.
    #[inline]
    pub(crate) fn rejects(&self) -> bool {
        self.rejects
    }

    /// Holds it open or closed, or lets it decide again.
    ///
    /// From closed it goes on with an empty window; from open, with probes.
    pub(crate) fn force(&self, forced: Forced) {
        self.shared.force(forced);
    }

    /// What it was when somebody last called: open also when its time is over meanwhile.
    pub(crate) fn state(&self) -> BreakerState {
        self.shared.state()
    }

    /// What it counts and waits for.
    pub(crate) fn status(&self, now: Instant) -> BreakerStatus {
        self.shared.status(now)
    }

    /// Tells of each change from now on, until the subscription is dropped.
    ///
    /// Called by whoever causes the change, and outside of all locks: changes that follow
    /// each other closely may come out of order, which their generation shows.
    pub(crate) fn on_change(
        &self,
        tell: impl Fn(&Transition) + Send + Sync + 'static,
    ) -> Subscription {
        self.shared.listeners().add(tell)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.shared.settings().name)
            .field("state", &self.state())
            .field("rejects", &self.rejects)
            .finish_non_exhaustive()
    }
}

// === impl Pass ===

impl Pass {
    /// Whether it is that of a probe.
    #[inline]
    pub(crate) fn is_probe(self) -> bool {
        self.probe
    }
}
