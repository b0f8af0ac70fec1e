//! What the inner service does with one call.

use std::time::Duration;

/// What the inner service does with one call: how long it takes, then how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Act {
    pub(super) pending: u32,
    pub(super) after: Option<Duration>,
    pub(super) held: bool,
    pub(super) end: End,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Answer,
    Fail,
    Panic,
    /// In `call` itself: there is no future.
    PanicInCall,
}

/// The error of the inner service. Look for it with [`find_failed`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the inner service fails on cue")]
#[non_exhaustive]
pub struct Failed;

/// Whether the error of the inner service is in the chain of causes.
pub fn find_failed(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Failed>() {
            return true;
        }
        next = error.source();
    }
    false
}

// === impl Act ===

impl Act {
    /// Answers.
    pub const fn answer() -> Self {
        Self::of(End::Answer)
    }

    /// Fails with [`Failed`].
    pub const fn fail() -> Self {
        Self::of(End::Fail)
    }

    /// Panics when its future is polled.
    pub const fn panic() -> Self {
        Self::of(End::Panic)
    }

    /// Panics in `call`, before there is a future.
    pub const fn panic_in_call() -> Self {
        Self::of(End::PanicInCall)
    }

    /// Is pending `times` times first, each time asking to be polled again at once.
    pub const fn pending(mut self, times: u32) -> Self {
        self.pending = times;
        self
    }

    /// Takes so long first.
    pub const fn after(mut self, delay: Duration) -> Self {
        self.after = Some(delay);
        self
    }

    /// Is pending until it is released.
    pub const fn held(mut self) -> Self {
        self.held = true;
        self
    }

    const fn of(end: End) -> Self {
        Self {
            pending: 0,
            after: None,
            held: false,
            end,
        }
    }
}
