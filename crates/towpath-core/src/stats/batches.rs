//! The figures of the batches that a stage has closed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{BatchInfo, BatchStatus, Histogram, Trigger};

const TRIGGERS: [Trigger; 8] = [
    Trigger::Count,
    Trigger::Weight,
    Trigger::Age,
    Trigger::Flush,
    Trigger::Custom,
    Trigger::Evicted,
    Trigger::Drain,
    Trigger::Chunk,
];

#[derive(Debug, Default)]
pub(super) struct Batches {
    /// In the order of [`TRIGGERS`], which is that of their declaration.
    closed: [AtomicU64; TRIGGERS.len()],
    size: Histogram,
    weight: Histogram,
    age: Histogram,
}

impl Batches {
    pub(super) fn add(&self, info: &BatchInfo, weighed: bool) {
        self.closed[info.trigger as usize].fetch_add(1, Relaxed);
        self.size.add_figure(info.size as u64, 1);
        self.age.add(info.age, 1);
        if weighed {
            self.weight.add_figure(info.weight, 1);
        }
    }

    pub(super) fn status(&self) -> BatchStatus {
        let counts = self.closed.iter().map(|count| count.load(Relaxed));
        let closed = TRIGGERS.into_iter().zip(counts);
        BatchStatus {
            closed: closed.filter(|(_, count)| *count > 0).collect(),
            size: self.size.distribution(),
            weight: self.weight.distribution(),
            age: self.age.distribution(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_counted_in_the_order_of_their_declaration() {
        for (place, trigger) in TRIGGERS.into_iter().enumerate() {
            assert_eq!(trigger as usize, place);
        }
    }
}
