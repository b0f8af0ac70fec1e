//! How long a step takes.

#![expect(
    clippy::disallowed_types,
    reason = "xtask has no tokio clock, and nothing to pause"
)]

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
