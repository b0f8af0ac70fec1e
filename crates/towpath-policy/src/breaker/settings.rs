//! What a breaker goes by: its options with every default filled in.

use std::{sync::Arc, time::Duration};

use super::options::{CircuitBreaker, Extent, SlowCalls};
use towpath_options::LONGEST;

/// Two breakers with equal settings do the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) name: Option<Arc<str>>,
    pub(super) failure_rate: f64,
    pub(super) extent: Extent,
    pub(super) slow: Option<SlowCalls>,
    pub(super) min_calls: u64,
    pub(super) open_for: Duration,
    pub(super) growth: f64,
    pub(super) open_for_max: Duration,
    pub(super) probes: u32,
    pub(super) successes: u32,
    pub(super) half_open_for: Duration,
}

impl Settings {
    pub(super) fn new(options: &CircuitBreaker) -> Self {
        let growing = options.growing;
        Self {
            name: options.name.clone(),
            failure_rate: options.failure_rate,
            extent: options.extent(),
            slow: options.slow_calls,
            min_calls: options.min_calls_in_window().into(),
            open_for: options.open_for.min(LONGEST),
            growth: growing.map_or(1.0, |growing| growing.factor),
            open_for_max: growing.map_or(options.open_for, |g| g.max).min(LONGEST),
            probes: options.probes,
            successes: options.probe_successes.unwrap_or(options.probes),
            half_open_for: options.half_open_for.min(LONGEST),
        }
    }

    #[inline]
    pub(super) fn is_slow(&self, took: Option<Duration>) -> bool {
        match (&self.slow, took) {
            (Some(slow), Some(took)) => took > slow.threshold,
            _ => false,
        }
    }

    /// The open time after one of `time`.
    pub(super) fn grown(&self, time: Duration) -> Duration {
        let grown = Duration::try_from_secs_f64(time.as_secs_f64() * self.growth);
        grown.map_or(self.open_for_max, |grown| grown.min(self.open_for_max))
    }
}
