//! What a breaker is, and what it shows of itself.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

/// What a circuit breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BreakerState {
    /// Lets all through, and counts.
    Closed,
    /// Lets none through until the open time is over.
    Open,
    /// Lets a few through as probes.
    HalfOpen,
    /// Lets none through until it is told otherwise.
    ForcedOpen,
    /// Lets all through until it is told otherwise.
    ForcedClosed,
}

/// What a circuit breaker is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Forced {
    /// Let none through.
    Open,
    /// Let all through; they are counted, and change nothing.
    Closed,
    /// Decide by what is counted.
    Auto,
}

/// What a circuit breaker counts and waits for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BreakerStatus {
    /// The name it is shared by.
    pub name: Option<Arc<str>>,
    /// What it does with calls; open also when the open time is over and nobody has called.
    pub state: BreakerState,
    /// How many calls are in the window; when it is open, those that opened it.
    pub calls: u64,
    /// The part of them that failed, from 0 to 1.
    pub failure_rate: f64,
    /// The part of them that was slow, from 0 to 1; 0 when slow calls do not count.
    pub slow_rate: f64,
    /// How many probes are out.
    pub probes: u32,
    /// How long until a probe may be let through; `None` unless it is open by itself.
    pub open_for: Option<Duration>,
    /// The number of changes so far.
    pub generation: u64,
}

// === impl BreakerState ===

impl BreakerState {
    pub(super) const BITS: u32 = 3;

    /// The state in the low bits of a word.
    #[inline]
    pub(super) fn of(word: u64) -> Self {
        match word & ((1 << Self::BITS) - 1) {
            0 => Self::Closed,
            1 => Self::ForcedClosed,
            2 => Self::Open,
            3 => Self::ForcedOpen,
            _ => Self::HalfOpen,
        }
    }

    pub(super) fn bits(self) -> u64 {
        match self {
            Self::Closed => 0,
            Self::ForcedClosed => 1,
            Self::Open => 2,
            Self::ForcedOpen => 3,
            Self::HalfOpen => 4,
        }
    }

    #[inline]
    pub(super) fn lets_all_through(self) -> bool {
        matches!(self, Self::Closed | Self::ForcedClosed)
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced open",
            Self::ForcedClosed => "forced closed",
        })
    }
}
