//! From the first message that came to the last one that is settled.

use std::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, OnceLock};

use crate::measure::clock::{Spent, Stamp};

/// Counts the messages of one run, and takes the time of the first and the last.
#[derive(Debug)]
pub struct Stopwatch {
    begun: OnceLock<Stamp>,
    ended: OnceLock<Stamp>,
    left: AtomicU64,
}

/// A run ended before all messages were settled.
#[derive(Debug, thiserror::Error)]
#[error("{left} messages were not settled")]
pub struct Unfinished {
    left: u64,
}

// === impl Stopwatch ===

impl Stopwatch {
    /// For a run of so many messages.
    pub fn of(messages: u32) -> Arc<Self> {
        Arc::new(Self {
            begun: OnceLock::new(),
            ended: OnceLock::new(),
            left: AtomicU64::new(messages.into()),
        })
    }

    /// Messages came: with the first of them it begins.
    pub fn came(&self) {
        self.begun.get_or_init(Stamp::now);
    }

    /// So many messages are settled: with the last of them it ends. Returns how many are left.
    pub fn settled(&self, count: u64) -> u64 {
        let before = self.left.fetch_sub(count, AcqRel);
        let left = before.saturating_sub(count);
        if left == 0 {
            self.ended.get_or_init(Stamp::now);
        }
        left
    }

    /// What it took.
    ///
    /// # Errors
    /// Fails when messages are left.
    pub fn spent(&self) -> Result<Spent, Unfinished> {
        let unfinished = || Unfinished {
            left: self.left.load(Acquire),
        };
        let (begun, ended) = self
            .begun
            .get()
            .zip(self.ended.get())
            .ok_or_else(unfinished)?;
        Ok(ended.since(*begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_has_settled_all_but_one_message_has_no_time() {
        let watch = Stopwatch::of(3);
        watch.came();
        assert_eq!(watch.settled(2), 1);
        assert_eq!(
            watch.spent().unwrap_err().to_string(),
            "1 messages were not settled"
        );
        assert_eq!(watch.settled(1), 0);
        assert!(watch.spent().is_ok());
    }
}
