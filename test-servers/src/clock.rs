//! How long there is still time.

#![expect(
    clippy::disallowed_types,
    reason = "real servers answer in real time, which cannot be paused"
)]

use std::thread;
use std::time::{Duration, Instant};

/// What is asked again and again is asked this often.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(within: Duration) -> Self {
        Self(Instant::now() + within)
    }

    /// Zero when it is over.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Asks until there is an answer; `None` when there is none in time.
    pub(crate) fn poll<T>(self, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            let answer = ask();
            if answer.is_some() || self.left().is_zero() {
                return answer;
            }
            thread::sleep(PAUSE);
        }
    }
}
