//! Whether a source or a sink can be reached, and what it said when it could not.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use crate::ReachStatus;

/// Whether a source or a sink can be reached, as its last call has shown. Clones share it.
///
/// ```
/// use towpath_core::Reach;
///
/// let reach = Reach::default();
/// reach.failed("connection refused");
/// assert_eq!(reach.error().as_deref(), Some("connection refused"));
/// reach.answered();
/// assert_eq!((reach.failures(), reach.error()), (1, None));
/// ```
#[derive(Clone, Default)]
pub struct Reach(Arc<State>);

#[derive(Default)]
struct State {
    failures: AtomicU64,
    is_lost: AtomicBool,
    error: Mutex<Option<String>>,
}

impl Reach {
    /// How many calls have failed.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Relaxed)
    }

    /// What it said when a call failed; `None` once it has answered again.
    pub fn error(&self) -> Option<String> {
        let error = self.0.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.clone()
    }

    /// A call has failed. What is said here is shown: it must hold no secret.
    pub fn failed(&self, error: &str) {
        self.0.failures.fetch_add(1, Relaxed);
        self.set(Some(error.to_owned()));
        self.0.is_lost.store(true, Relaxed);
    }

    /// A call has been answered.
    pub fn answered(&self) {
        // Mostly it was never lost: then a look is all there is to do.
        if self.0.is_lost.load(Relaxed) {
            self.0.is_lost.store(false, Relaxed);
            self.set(None);
        }
    }

    /// Both figures of one moment.
    pub fn status(&self) -> ReachStatus {
        ReachStatus {
            failures: self.failures(),
            error: self.error(),
        }
    }

    fn set(&self, error: Option<String>) {
        *self.0.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("failures", &self.failures())
            .field("error", &self.error())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_stays_until_the_source_answers() {
        let reach = Reach::default();
        reach.answered();
        assert_eq!((reach.failures(), reach.error()), (0, None));
        reach.failed("refused");
        reach.failed("reset");
        assert_eq!(reach.error().as_deref(), Some("reset"));
        reach.answered();
        assert_eq!((reach.failures(), reach.error()), (2, None));
    }
}
