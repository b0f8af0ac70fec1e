//! Whether a source can be reached, and what it said when it could not.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

/// Whether a source can be reached, as its last call has shown.
#[derive(Default)]
pub struct Reach {
    failures: AtomicU64,
    is_lost: AtomicBool,
    error: Mutex<Option<String>>,
}

impl Reach {
    /// How many calls have failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// What the source said when a call failed; `None` once it has answered again.
    pub fn error(&self) -> Option<String> {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.clone()
    }

    pub(crate) fn failed(&self, error: &str) {
        self.failures.fetch_add(1, Relaxed);
        self.set(Some(error.to_owned()));
        self.is_lost.store(true, Relaxed);
    }

    pub(crate) fn answered(&self) {
        // One task calls the source: what it has stored it sees.
        if self.is_lost.load(Relaxed) {
            self.is_lost.store(false, Relaxed);
            self.set(None);
        }
    }

    fn set(&self, error: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
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
