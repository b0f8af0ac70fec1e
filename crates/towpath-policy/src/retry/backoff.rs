//! How long to wait before a retry: the schedule, and chance on top.

use std::{
    error::Error,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::Deserialize;

use super::schedule::{Schedule, nanos};
use towpath_options::LONGEST;

#[cfg(test)]
mod tests;

/// How much chance there is in the delays, so that those who failed together do not come
/// back together.
///
/// With `d` for the delay of the schedule:
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Jitter {
    /// None: `d` itself.
    None,
    /// Anything from nothing to `d`: the least load on the backend.
    Full,
    /// Anything from half of `d` to `d`: never at once.
    Equal,
    /// Anything from the base to three times the last delay, but no more than the cap.
    Decorrelated,
}

/// How long to wait before a retry.
#[derive(Debug)]
pub(crate) struct Backoff {
    schedule: Schedule,
    jitter: Jitter,
    /// Where the source of chance stands; each draw starts one of its own from there, so that
    /// none needs a lock.
    chance: AtomicU64,
}

/// The distance of two draws: odd, so that all come once before one comes again.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

// === impl Jitter ===

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no",
            Self::Full => "full",
            Self::Equal => "equal",
            Self::Decorrelated => "decorrelated",
        })
    }
}

// === impl Backoff ===

impl Backoff {
    pub(super) fn new(schedule: Schedule, jitter: Jitter, seed: Option<u64>) -> Self {
        Self {
            schedule,
            jitter,
            chance: AtomicU64::new(seed.unwrap_or_else(|| fastrand::u64(..))),
        }
    }

    /// The delay before a retry; `None` when the schedule wants no further attempt.
    ///
    /// `retry` is 1 before the second attempt; `previous` is the last delay of the same call,
    /// or zero. What the error itself asks for is not looked at here.
    pub(crate) fn delay(
        &self,
        retry: u32,
        previous: Duration,
        error: &(dyn Error + 'static),
    ) -> Option<Duration> {
        let delay = nanos(self.schedule.delay(retry, error)?);
        let delay = match self.jitter {
            Jitter::None => delay,
            Jitter::Full => self.between(0, delay),
            Jitter::Equal => self.between(delay / 2, delay),
            Jitter::Decorrelated => self.decorrelated(nanos(previous), delay),
        };
        Some(Duration::from_nanos(delay).min(LONGEST))
    }

    fn decorrelated(&self, previous: u64, delay: u64) -> u64 {
        let Schedule::Exponential { base, cap } = &self.schedule else {
            return delay;
        };
        let base = nanos(*base);
        self.between(base, previous.max(base).saturating_mul(3))
            .min(nanos(*cap))
    }

    /// A number from `low` to `high`, both included.
    fn between(&self, low: u64, high: u64) -> u64 {
        let seed = self.chance.fetch_add(STEP, Ordering::Relaxed);
        fastrand::Rng::with_seed(seed).u64(low..=high.max(low))
    }
}
