//! The changes of a breaker, and who is told of them.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use serde::Serialize;

use super::status::BreakerState;

/// A circuit breaker changed from one state to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Transition {
    /// What it was.
    pub from: BreakerState,
    /// What it is now.
    pub to: BreakerState,
    /// Why.
    pub reason: TransitionReason,
    /// The number of this change, counted from 1.
    pub generation: u64,
}

/// Why a circuit breaker changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TransitionReason {
    /// Too many calls failed.
    FailureRate {
        /// The part of them that failed, from 0 to 1.
        rate: f64,
        /// How many calls were in the window.
        calls: u64,
    },
    /// Too many calls were slow.
    SlowRate {
        /// The part of them that was slow, from 0 to 1.
        rate: f64,
        /// How many calls were in the window.
        calls: u64,
    },
    /// The open time is over, and somebody calls.
    OpenTimeOver,
    /// As many probes succeeded as must.
    ProbesSucceeded,
    /// A probe failed.
    ProbeFailed,
    /// A probe took too long, but ended.
    ProbeSlow,
    /// A probe had not ended when the half-open time was over.
    ProbeHung,
    /// It was told to.
    Forced,
}

type Tell = dyn Fn(&Transition) + Send + Sync;

/// Keeps a listener of a circuit breaker; it is told nothing more once this is dropped.
#[must_use = "the listener is gone when this is dropped"]
pub struct Subscription {
    _tell: Arc<Tell>,
}

/// Who is told: as many as there are subscriptions.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<Weak<Tell>>>);

// === impl Transition ===

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from, to, reason, ..
        } = self;
        write!(f, "from {from} to {to}: {reason}")
    }
}

// === impl TransitionReason ===

impl fmt::Display for TransitionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FailureRate { rate, calls } => {
                return write!(f, "{:.1} % of {calls} calls failed", rate * 100.0);
            }
            Self::SlowRate { rate, calls } => {
                return write!(f, "{:.1} % of {calls} calls were slow", rate * 100.0);
            }
            Self::OpenTimeOver => "the open time is over",
            Self::ProbesSucceeded => "the probes succeeded",
            Self::ProbeFailed => "a probe failed",
            Self::ProbeSlow => "a probe was slow",
            Self::ProbeHung => "a probe did not end in time",
            Self::Forced => "forced",
        })
    }
}

// === impl Subscription ===

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

// === impl Listeners ===

impl Listeners {
    pub(super) fn add(&self, tell: impl Fn(&Transition) + Send + Sync + 'static) -> Subscription {
        let tell: Arc<Tell> = Arc::new(tell);
        let mut listeners = self.lock();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(&tell));
        Subscription { _tell: tell }
    }

    /// Listeners are foreign code: neither called nor dropped under the lock.
    pub(super) fn tell(&self, change: &Transition) {
        let listeners: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        for tell in listeners {
            tell(change);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Tell>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listeners")
            .field(&self.lock().len())
            .finish()
    }
}
