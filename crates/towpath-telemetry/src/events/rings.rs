//! The last records: those that come with messages cannot push out the others.

use std::{collections::VecDeque, sync::Arc};

use towpath_core::EventKind;

use super::{Query, Record};

/// The last records, in two rings.
///
/// Messages that are rejected, and outcomes that a source does not take, come in bursts as
/// large as the traffic. They have a quarter of the room for themselves.
#[derive(Debug)]
pub(super) struct Rings {
    life: Ring,
    messages: Ring,
    last: u64,
}

#[derive(Debug)]
struct Ring {
    records: VecDeque<Arc<Record>>,
    capacity: usize,
    forgotten: u64,
}

impl Rings {
    /// Room for `capacity` records, no less than two.
    pub(super) fn new(capacity: usize) -> Self {
        let messages = (capacity / 4).max(1);
        Self {
            life: Ring::new(capacity.saturating_sub(messages).max(1)),
            messages: Ring::new(messages),
            last: 0,
        }
    }

    /// Takes a record by the number it is given, and hands out the one that it pushes out,
    /// for the caller to drop when nothing is locked.
    pub(super) fn push(&mut self, mut record: Record) -> (Arc<Record>, Option<Arc<Record>>) {
        self.last += 1;
        record.number = self.last;
        let record = Arc::new(record);
        let forgotten = self.ring_of(&record.kind).push(Arc::clone(&record));
        (record, forgotten)
    }

    fn ring_of(&mut self, kind: &EventKind) -> &mut Ring {
        match kind {
            EventKind::Rejected { .. } | EventKind::SettleFailed { .. } => &mut self.messages,
            _ => &mut self.life,
        }
    }

    /// The number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// How many records are no longer held.
    pub(super) fn forgotten(&self) -> u64 {
        self.life.forgotten + self.messages.forgotten
    }

    /// The first record that is held with a larger number.
    pub(super) fn after(&self, number: u64) -> Option<Arc<Record>> {
        let found = [self.life.after(number), self.messages.after(number)];
        let first = found.into_iter().flatten().min_by_key(|r| r.number);
        first.cloned()
    }

    /// The last records that are asked for, in the order of their numbers.
    pub(super) fn query(&self, query: &Query) -> Vec<Arc<Record>> {
        let rings = self.life.records.iter().chain(&self.messages.records);
        let mut found: Vec<_> = rings.filter(|r| query.matches(r)).cloned().collect();
        found.sort_unstable_by_key(|record| record.number);
        found.split_off(found.len().saturating_sub(query.most()))
    }
}

impl Ring {
    fn new(capacity: usize) -> Self {
        Self {
            records: VecDeque::new(),
            capacity,
            forgotten: 0,
        }
    }

    fn push(&mut self, record: Arc<Record>) -> Option<Arc<Record>> {
        let full = self.records.len() >= self.capacity;
        let forgotten = if full { self.records.pop_front() } else { None };
        self.forgotten += u64::from(forgotten.is_some());
        self.records.push_back(record);
        forgotten
    }

    fn after(&self, number: u64) -> Option<&Arc<Record>> {
        let first = self.records.partition_point(|r| r.number <= number);
        self.records.get(first)
    }
}
