//! The queue beside a plain list that does the same.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{LEASE, Table};
use crate::{
    Entry,
    queue::book::{Claimed, Lent, Settlement, What},
};

/// What is done to a queue. Deliveries are picked among all there ever were.
#[derive(Clone, Debug)]
enum Step {
    Enqueue {
        delays: Vec<u16>,
    },
    Claim {
        at_most: usize,
    },
    Done {
        which: usize,
    },
    Back {
        which: usize,
        after: u16,
        extra: u32,
    },
    Release {
        which: usize,
    },
    Extend {
        which: usize,
    },
    Pass {
        millis: u16,
    },
    GoBack {
        millis: u16,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let delays = prop::collection::vec(prop_oneof![Just(0), 0..60_000_u16], 1..5);
    let which = || 0..1000_usize;
    let step = prop_oneof![
        3 => delays.prop_map(|delays| Step::Enqueue { delays }),
        4 => (0..6_usize).prop_map(|at_most| Step::Claim { at_most }),
        3 => which().prop_map(|which| Step::Done { which }),
        2 => (which(), 0..60_000_u16, 0..3_u32)
            .prop_map(|(which, after, extra)| Step::Back { which, after, extra }),
        1 => which().prop_map(|which| Step::Release { which }),
        1 => which().prop_map(|which| Step::Extend { which }),
        3 => (0..40_000_u16).prop_map(|millis| Step::Pass { millis }),
        1 => (0..60_000_u16).prop_map(|millis| Step::GoBack { millis }),
    ];
    prop::collection::vec(step, 1..80)
}

/// A message as the list has it.
#[derive(Clone, Debug)]
struct Waiting {
    available_at: i64,
    lease: i64,
    attempts: u32,
}

/// The reference: a list that is sorted when something is claimed.
#[derive(Debug, Default)]
struct Model {
    now: i64,
    messages: BTreeMap<i64, Waiting>,
    last_message: i64,
    last_lease: i64,
}

impl Model {
    fn enqueue(&mut self, delay: u16) {
        self.last_message += 1;
        let waiting = Waiting {
            available_at: self.now + i64::from(delay),
            lease: 0,
            attempts: 0,
        };
        self.messages.insert(self.last_message, waiting);
    }

    /// Numbers and attempts of what is lent.
    fn claim(&mut self, at_most: usize) -> Vec<(i64, u32)> {
        let due = self
            .messages
            .iter()
            .filter(|(_, message)| message.available_at <= self.now);
        let mut due: Vec<_> = due
            .map(|(id, message)| (message.available_at, *id))
            .collect();
        due.sort_unstable();
        due.truncate(at_most);
        if !due.is_empty() {
            self.last_lease += 1;
        }
        let (now, lease) = (self.now, self.last_lease);
        let lend = |(_, id): (i64, i64)| {
            let message = self.messages.get_mut(&id).unwrap();
            message.available_at = now + i64::try_from(LEASE.as_millis()).unwrap();
            message.lease = lease;
            message.attempts += 1;
            (id, message.attempts)
        };
        due.into_iter().map(lend).collect()
    }

    /// The message, if that lending of it still counts.
    fn lent(&mut self, lent: Lent) -> Option<&mut Waiting> {
        let message = self.messages.get_mut(&lent.id)?;
        (message.lease == lent.lease).then_some(message)
    }

    fn done(&mut self, lent: Lent) -> bool {
        let counts = self.lent(lent).is_some();
        if counts {
            self.messages.remove(&lent.id);
        }
        counts
    }

    fn back(&mut self, lent: Lent, at: i64, attempts: impl FnOnce(u32) -> u32) -> bool {
        let Some(message) = self.lent(lent) else {
            return false;
        };
        message.available_at = at;
        message.lease = 0;
        message.attempts = attempts(message.attempts);
        true
    }

    fn extend(&mut self, lent: Lent) {
        let until = self.now + i64::try_from(LEASE.as_millis()).unwrap();
        if let Some(message) = self.lent(lent) {
            message.available_at = until;
        }
    }

    fn next_in(&self) -> Option<Duration> {
        let next = self
            .messages
            .values()
            .map(|message| message.available_at)
            .min()?;
        Some(Duration::from_millis(
            u64::try_from(next - self.now).unwrap_or(0),
        ))
    }
}

/// Both of them, and all deliveries that there were.
struct Pair {
    table: Table,
    model: Model,
    delivered: Vec<Claimed>,
}

impl Pair {
    fn new() -> Self {
        let table = Table::new();
        // From the first transaction on the queue knows the time.
        table.within(|_| ());
        let mut pair = Self {
            table,
            model: Model::default(),
            delivered: Vec::new(),
        };
        pair.model.now = 1_000_000;
        pair
    }

    fn pick(&self, which: usize) -> Option<Claimed> {
        let count = self.delivered.len();
        (count > 0).then(|| self.delivered[which % count].clone())
    }

    fn settle(&mut self, which: usize, what: What) -> Result<(), TestCaseError> {
        let Some(delivery) = self.pick(which) else {
            return Ok(());
        };
        let lent = delivery.lent;
        let expected = match &what {
            What::Remove => self.model.done(lent),
            What::Return { after, extra, .. } => {
                let at = self.model.now + i64::try_from(after.as_millis()).unwrap();
                let extra = *extra;
                self.model.back(lent, at, move |attempts| attempts + extra)
            }
        };
        let run = [Settlement { lent, what }];
        let settled = self.table.within(|book| book.settle(&run)).unwrap();
        prop_assert_eq!(settled == 1, expected);
        Ok(())
    }

    fn claim(&mut self, at_most: usize) -> Result<(), TestCaseError> {
        let claim = self.table.claim(at_most);
        let came = claim
            .messages
            .iter()
            .map(|message| (message.lent.id, message.attempts));
        prop_assert_eq!(came.collect::<Vec<_>>(), self.model.claim(at_most));
        prop_assert_eq!(claim.peeked.next_in, self.model.next_in());
        for message in &claim.messages {
            let payload = message.lent.id.to_string();
            prop_assert_eq!(&message.payload[..], payload.as_bytes());
        }
        self.delivered.extend(claim.messages);
        Ok(())
    }

    fn enqueue(&mut self, delays: &[u16]) {
        let first = self.model.last_message + 1;
        let entries = (first..).zip(delays).map(|(id, delay)| {
            let delay = Duration::from_millis((*delay).into());
            Entry::new(id.to_string()).delay(delay)
        });
        self.table.enqueue(&entries.collect::<Vec<_>>()).unwrap();
        for delay in delays {
            self.model.enqueue(*delay);
        }
    }

    fn release(&mut self, which: usize) {
        if let Some(message) = self.pick(which) {
            let before = message.attempts - 1;
            self.model.back(message.lent, message.since, |_| before);
            self.table.within(|book| book.release(&[message])).unwrap();
        }
    }

    fn extend(&mut self, which: usize) {
        if let Some(message) = self.pick(which) {
            self.model.extend(message.lent);
            self.table
                .within(|book| book.extend(&[message.lent], LEASE))
                .unwrap();
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Enqueue { delays } => self.enqueue(&delays),
            Step::Claim { at_most } => self.claim(at_most)?,
            Step::Done { which } => self.settle(which, What::Remove)?,
            Step::Back {
                which,
                after,
                extra,
            } => {
                let after = Duration::from_millis(after.into());
                let trace = None;
                let what = What::Return {
                    after,
                    extra,
                    trace,
                };
                self.settle(which, what)?;
            }
            Step::Release { which } => self.release(which),
            Step::Extend { which } => self.extend(which),
            Step::Pass { millis } => {
                self.table.pass(millis.into());
                self.model.now += i64::from(millis);
            }
            Step::GoBack { millis } => {
                // What had passed when the queue was used last has passed.
                self.table.within(|_| ());
                self.table.pass(-i64::from(millis));
                self.table.within(|_| ());
            }
        }
        prop_assert_eq!(
            self.table.depth().messages,
            self.model.messages.len() as u64
        );
        prop_assert_eq!(self.table.peek().next_in, self.model.next_in());
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_queue_does_what_a_sorted_list_does(steps in steps()) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step)?;
        }
    }
}
