//! A while in which calls are looked at: about as long as a call takes.

use std::time::Duration;

use tokio::time::Instant;

use super::to_f64;
use towpath_options::LONGEST;

/// Begins with its first call.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// When the limit was lowered, if it was right before this.
    cut: Option<Instant>,
    is_open: bool,
    until: Option<Instant>,
    most_in_use: usize,
    count: u32,
    /// Of the latencies, in seconds; and of their squares.
    sum: f64,
    sum_of_squares: f64,
}

/// What was seen in a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// The mean, in seconds; more than 0.
    pub(super) latency: f64,
    /// The standard error of that.
    pub(super) error: f64,
    /// The most calls that ran at once when one ended.
    pub(super) in_use: usize,
    pub(super) is_after_cut: bool,
}

/// No window is shorter, however fast the service is.
const SHORTEST: Duration = Duration::from_millis(10);

/// No window has fewer calls: their mean would be noise.
const FEWEST: u32 = 10;

/// Two latencies can be divided, also when a clock stands still.
const LEAST_LATENCY: Duration = Duration::from_micros(1);

// === impl Window ===

impl Window {
    pub(super) fn after_cut(cut: Instant) -> Self {
        Self {
            cut: Some(cut),
            ..Self::default()
        }
    }

    /// Whether a call that has just ended began after the limit was lowered.
    pub(super) fn knows(&self, now: Instant, latency: Duration) -> bool {
        self.cut
            .is_none_or(|cut| latency <= now.saturating_duration_since(cut))
    }

    /// After a cut, opens when a call ends that began a usual latency after that.
    ///
    /// From then on all count. If only those counted that began late enough, the fast ones
    /// would be the first to end, and the slow ones would miss the window.
    pub(super) fn opens(&mut self, now: Instant, latency: Duration, usual: Duration) -> bool {
        self.is_open = self.is_open || self.knows(now, latency.saturating_add(usual));
        self.is_open
    }

    /// Looks at a call; what was seen, when the window ends with it.
    pub(super) fn add(
        &mut self,
        now: Instant,
        latency: Duration,
        usual: Duration,
        in_use: usize,
    ) -> Option<Sample> {
        let length = usual.clamp(SHORTEST, LONGEST);
        let until = *self.until.get_or_insert_with(|| now + length);
        let latency = latency.max(LEAST_LATENCY).as_secs_f64();
        self.sum += latency;
        self.sum_of_squares += latency * latency;
        self.count = self.count.saturating_add(1);
        self.most_in_use = self.most_in_use.max(in_use);
        (now >= until && self.count >= FEWEST).then(|| self.sample())
    }

    fn sample(&self) -> Sample {
        let count = f64::from(self.count);
        let mean = self.sum / count;
        let variance = self.sum_of_squares / count - mean * mean;
        Sample {
            latency: mean,
            error: (variance.max(0.0) / count).sqrt(),
            in_use: self.most_in_use,
            is_after_cut: self.cut.is_some(),
        }
    }
}

// === impl Sample ===

impl Sample {
    /// How many calls ran for each that ran before.
    pub(super) fn calls_per(&self, before: &Self) -> f64 {
        to_f64(self.in_use) / to_f64(before.in_use.max(1))
    }

    /// The part of the latency that the number of calls does not explain, now that fewer run
    /// than before: 0 when it fell as they did, 1 when it stayed.
    pub(super) fn unexplained_since(&self, before: &Self) -> f64 {
        let calls = self.calls_per(before);
        let latency = self.latency / before.latency;
        ((latency - calls) / (1.0 - calls)).clamp(0.0, 1.0)
    }
}
