//! Instants as nanoseconds since the limiter was made, which fit one atomic.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

/// What an instant is that the clock cannot tell.
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

impl Clock {
    pub(super) fn starting(start: Instant) -> Self {
        Self { start }
    }

    /// Zero for what was before the start; 584 years are enough for the rest.
    #[inline]
    pub(super) fn nanos(self, instant: Instant) -> u64 {
        let since = instant.saturating_duration_since(self.start);
        since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos())
    }

    pub(super) fn instant(self, nanos: u64) -> Instant {
        let since = Duration::from_nanos(nanos);
        self.start
            .checked_add(since)
            .unwrap_or_else(|| self.start + FAR)
    }
}
