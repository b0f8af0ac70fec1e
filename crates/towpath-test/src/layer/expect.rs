//! What a layer may do, beside handing calls through.

use std::time::Duration;

/// As long as anything may take, on the paused clock.
pub(super) const LONG: Duration = Duration::from_secs(24 * 3600);

/// How many callers there are at once, where nothing limits them.
const WIDE: usize = 8;

/// What a layer may do, beside handing calls through.
#[derive(Clone, Debug)]
pub(super) struct Expect {
    pub(super) attempts: u32,
    pub(super) backoff: Option<Duration>,
    pub(super) at_most: Option<usize>,
    pub(super) rate: Option<(usize, Duration)>,
    pub(super) opens: Option<(usize, Duration)>,
    pub(super) timeout: Option<Duration>,
    pub(super) gives_up: Option<Duration>,
    pub(super) hedge: Option<Duration>,
    pub(super) rejects: bool,
    pub(super) answers_errors: bool,
    pub(super) catches_panics: bool,
}

impl Expect {
    /// How many calls are let in at once, at first.
    pub(super) fn width(&self) -> usize {
        let at_most = self.at_most.unwrap_or(WIDE);
        let rate = self.rate.map_or(usize::MAX, |(admitted, _)| admitted);
        at_most.min(rate)
    }

    pub(super) fn is_limited(&self) -> bool {
        self.at_most.is_some() || self.rate.is_some()
    }

    /// When a call ends of which the inner service answers after `inner`, at the earliest
    /// and at the latest.
    pub(super) fn lasting(&self, inner: Duration) -> (Duration, Duration) {
        let Some(timeout) = self.timeout.filter(|timeout| *timeout < inner) else {
            return self.given_up((inner, inner));
        };
        let attempts = timeout * self.attempts;
        // The second of two calls begins later, and may end last.
        let later = self.hedge.unwrap_or_default();
        self.given_up((attempts, attempts + self.longest_backoff() + later))
    }

    /// As long as the waits between the attempts of one call may be, all together.
    pub(super) fn longest_backoff(&self) -> Duration {
        match self.attempts {
            1 => Duration::ZERO,
            _ => self.backoff.unwrap_or(LONG),
        }
    }

    fn given_up(&self, (least, most): (Duration, Duration)) -> (Duration, Duration) {
        let limit = self.gives_up.unwrap_or(Duration::MAX);
        (least.min(limit), most.min(limit))
    }
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            attempts: 1,
            backoff: None,
            at_most: None,
            rate: None,
            opens: None,
            timeout: None,
            gives_up: None,
            hedge: None,
            rejects: false,
            answers_errors: false,
            catches_panics: false,
        }
    }
}
