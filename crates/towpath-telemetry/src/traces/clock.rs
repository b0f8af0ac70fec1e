//! The wall time that belongs to a time of the pipeline.

use std::time::Duration;

use tokio::time::Instant;

/// What spans carry.
#[expect(clippy::disallowed_types, reason = "spans carry wall time")]
pub(super) type Wall = std::time::SystemTime;

/// Puts times since a pipeline began on the wall clock.
///
/// Made anew for each chunk that has traced messages: the two clocks drift apart where the
/// wall clock is set, or where the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Instant,
    wall: Wall,
}

// === impl Clock ===

impl Clock {
    /// The clock of a pipeline that began then, read against the wall clock now.
    pub(super) fn new(began: Instant) -> Self {
        let now = Wall::now();
        let wall = now.checked_sub(began.elapsed()).unwrap_or(now);
        Self { began, wall }
    }

    /// The time since the pipeline began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The wall time at that time since the pipeline began.
    pub(super) fn wall(&self, at: Duration) -> Wall {
        self.wall.checked_add(at).unwrap_or(self.wall)
    }
}
