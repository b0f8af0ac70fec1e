//! What the latency of a service usually is: a moving average that ages.

use std::time::Duration;

use super::window::Sample;

#[derive(Debug)]
pub(super) struct Usual {
    mean: Duration,
}

/// How much of a window counts in which the limit was not what made calls slow.
const UNLOADED: f64 = 0.25;

/// How much of any other counts, if it does.
const LOADED: f64 = 0.1;

/// A window is slow when its mean is off by more than so many standard errors.
const ERRORS: f64 = 2.5;

/// A call counts for no more than so many usual ones: one that hangs says nothing about the
/// others in its window.
const CAP: u32 = 4;

// === impl Usual ===

impl Usual {
    pub(super) fn new(sample: &Sample) -> Self {
        Self {
            mean: Duration::from_secs_f64(sample.latency),
        }
    }

    pub(super) fn mean(&self) -> Duration {
        self.mean
    }

    pub(super) fn cap(&self, latency: Duration) -> Duration {
        latency.min(self.mean * CAP)
    }

    /// The part of the calls that the service bears without a queue, when all that it takes
    /// longer is a queue.
    pub(super) fn ratio_to(&self, sample: &Sample) -> f64 {
        self.mean.as_secs_f64() / sample.latency
    }

    pub(super) fn is_exceeded_by(&self, sample: &Sample, tolerance: f64) -> bool {
        let tolerated = self.mean.as_secs_f64() * (1.0 + tolerance);
        sample.latency > tolerated + sample.error * ERRORS
    }

    /// Ages by one window.
    ///
    /// A higher latency of calls that the limit held up may be its own doing.
    pub(super) fn learn(&mut self, sample: &Sample, is_unloaded: bool, is_held_up: bool) {
        if is_unloaded {
            self.follow(sample, UNLOADED);
        } else if !is_held_up || self.ratio_to(sample) > 1.0 {
            self.follow(sample, LOADED);
        }
    }

    /// Goes a part of the way, from 0 to 1, to what was seen.
    pub(super) fn follow(&mut self, sample: &Sample, part: f64) {
        let mean = self.mean.as_secs_f64();
        let mean = mean + (sample.latency - mean) * part;
        self.mean = Duration::from_secs_f64(mean);
    }
}
