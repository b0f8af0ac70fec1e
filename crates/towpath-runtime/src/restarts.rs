//! How often a worker may die, and who is started again with it.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// The first pause before a second restart; it doubles up to the longest.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Who is started again when a worker dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// The worker alone.
    #[default]
    OneForOne,
    /// The workers of its stage and of every stage behind it.
    RestForOne,
    /// All workers of the pipeline.
    OneForAll,
}

/// How often workers may be started again before the pipeline gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    pub(crate) strategy: Strategy,
    pub(crate) max: usize,
    pub(crate) within: Duration,
}

impl Default for Restarts {
    /// The worker alone, three times within five seconds, as in Erlang's supervisors.
    fn default() -> Self {
        Self::at_most(3, Duration::from_secs(5))
    }
}

impl Restarts {
    /// At most `max` restarts `within` a while; one more and the pipeline gives up.
    #[must_use]
    pub fn at_most(max: usize, within: Duration) -> Self {
        Self {
            strategy: Strategy::OneForOne,
            max,
            within,
        }
    }

    /// Who is started again.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }
}

/// The restarts of the recent past.
#[derive(Debug)]
pub(crate) struct Intensity {
    rule: Restarts,
    recent: VecDeque<Instant>,
}

impl Intensity {
    pub(crate) fn new(rule: Restarts) -> Self {
        Self {
            rule,
            recent: VecDeque::new(),
        }
    }

    pub(crate) fn rule(&self) -> Restarts {
        self.rule
    }

    /// Notes a death now; the pause before the restart, or `None` when there were too many.
    pub(crate) fn note(&mut self) -> Option<Duration> {
        let now = Instant::now();
        while let Some(oldest) = self.recent.front()
            && now.duration_since(*oldest) > self.rule.within
        {
            self.recent.pop_front();
        }
        if self.recent.len() >= self.rule.max {
            return None;
        }
        let earlier = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        self.recent.push_back(now);
        Some(match earlier {
            0 => Duration::ZERO,
            n => FIRST_BACKOFF
                .saturating_mul(1 << (n - 1).min(16))
                .min(MAX_BACKOFF),
        })
    }
}
