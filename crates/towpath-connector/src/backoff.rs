//! Pauses that grow.

use std::time::Duration;

/// The first pause, unless said otherwise.
const FIRST: Duration = Duration::from_millis(50);
/// The longest pause, unless said otherwise.
const MAX: Duration = Duration::from_secs(10);

/// Pauses between attempts: each up to twice as long as the one before, and never longer than
/// the longest. A pause is drawn from the upper half, so that many that wait for the same
/// server do not come back in step.
///
/// ```
/// use std::time::Duration;
/// use towpath_connector::Backoff;
///
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
/// let pauses: Vec<_> = (0..6).map(|_| backoff.next()).collect();
/// assert!((50..=100).contains(&pauses[0].as_millis()));
/// assert!((500..=1000).contains(&pauses[5].as_millis()));
/// backoff.reset();
/// assert!(backoff.next() <= Duration::from_millis(100));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses from `first` up to `max`; nothing shorter than a millisecond.
    pub fn new(first: Duration, max: Duration) -> Self {
        let first = first.max(Duration::from_millis(1));
        Self {
            first,
            max: max.max(first),
            next: first,
        }
    }

    /// How long to pause now.
    #[expect(
        clippy::should_implement_trait,
        reason = "pauses never end, and nobody collects them"
    )]
    pub fn next(&mut self) -> Duration {
        let full = self.next;
        self.next = full.saturating_mul(2).min(self.max);
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// It went well: the next pause is the first again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

impl Default for Backoff {
    /// From 50 ms up to 10 s.
    fn default() -> Self {
        Self::new(FIRST, MAX)
    }
}
