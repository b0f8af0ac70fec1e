//! What closes a batch, one behaviour a test.

mod closing;
mod deadlines;
mod keys;
mod model;
mod splitting;

use std::{collections::VecDeque, num::NonZeroUsize, time::Duration};

use tokio::time::Instant;

use super::{ClosedBatch, OpenBatches};
use crate::{NoSplit, Rules, Splitter, Trigger};

/// A key, the items, and why they were closed.
type Seen = (char, Vec<u32>, Trigger);

/// Open batches under test, with a clock that only the test moves.
struct Bench<S: Splitter<u32> = NoSplit> {
    batches: OpenBatches<char, u32, S>,
    closed: VecDeque<ClosedBatch<char, u32>>,
    now: Instant,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        Self::split_by(rules, NoSplit)
    }
}

impl<S: Splitter<u32>> Bench<S> {
    fn split_by(rules: Rules, splitter: S) -> Self {
        Self {
            batches: OpenBatches::new(rules, splitter),
            closed: VecDeque::new(),
            now: Instant::now(),
        }
    }

    fn push(&mut self, key: char, item: u32) {
        self.push_heavy(key, item, 1);
    }

    fn push_heavy(&mut self, key: char, item: u32, weight: u64) {
        self.batches
            .push(key, item, weight, false, self.now, &mut self.closed);
    }

    fn push_marked(&mut self, key: char, item: u32) {
        self.batches
            .push(key, item, 1, true, self.now, &mut self.closed);
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.batches.expire(self.now, &mut self.closed);
    }

    fn due_in(&mut self) -> Option<Duration> {
        self.batches.next_deadline().map(|at| at - self.now)
    }

    /// Takes what was closed since the last call.
    fn seen(&mut self) -> Vec<Seen> {
        self.closed
            .drain(..)
            .map(|batch| (batch.key, batch.items, batch.trigger))
            .collect()
    }
}

/// Rules that close nothing by themselves in a small test, except after 1 s.
fn rules() -> Rules {
    Rules::default()
}

fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}
