//! When the open batches are due, in line.
//!
//! All batches wait equally long, so deadlines come due in the order in which
//! batches were opened: a queue will do, with no timer per batch. A batch that
//! closes early leaves its deadline in line as a stale one, to be skipped later.

use std::collections::VecDeque;

use tokio::time::Instant;

/// The line is trimmed when it is longer than this and twice the open batches.
pub(super) const SLACK: usize = 64;

pub(super) struct Deadlines<K> {
    line: VecDeque<Deadline<K>>,
}

struct Deadline<K> {
    at: Instant,
    key: K,
    /// Which batch of the key this is about.
    generation: u64,
}

impl<K> Deadlines<K> {
    pub(super) fn new() -> Self {
        Self {
            line: VecDeque::new(),
        }
    }

    /// Puts the deadline of a batch just opened at the end of the line.
    pub(super) fn push(&mut self, at: Instant, key: K, generation: u64) {
        self.line.push_back(Deadline {
            at,
            key,
            generation,
        });
    }

    /// Returns the first deadline of a batch that is still open.
    pub(super) fn next(&mut self, live: impl Fn(&K, u64) -> bool) -> Option<Instant> {
        while let Some(first) = self.line.front() {
            if live(&first.key, first.generation) {
                return Some(first.at);
            }
            self.line.pop_front();
        }
        None
    }

    /// Takes out the key of the first batch that is still open, if it is due.
    pub(super) fn pop_due(&mut self, now: Instant, live: impl Fn(&K, u64) -> bool) -> Option<K> {
        while self.line.front().is_some_and(|first| first.at <= now) {
            let due = self.line.pop_front()?;
            if live(&due.key, due.generation) {
                return Some(due.key);
            }
        }
        None
    }

    /// Drops the stale deadlines once they outnumber the live ones by [`SLACK`].
    ///
    /// Each pass drops more than half of what it looks at: O(1) per batch in the long run.
    pub(super) fn trim(&mut self, open: usize, live: impl Fn(&K, u64) -> bool) {
        if self.line.len() > 2 * open + SLACK {
            self.line
                .retain(|deadline| live(&deadline.key, deadline.generation));
        }
    }

    pub(super) fn clear(&mut self) {
        self.line.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.line.len()
    }
}
