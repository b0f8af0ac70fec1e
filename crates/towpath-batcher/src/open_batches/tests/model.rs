//! Any run of events against a naive model that keeps lists and searches them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{
    super::{ClosedBatch, OpenBatches, deadlines::SLACK},
    Rules, Trigger, count,
};
use crate::{Close, Splitter, split_fn};

const MAX_WAIT: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    None,
    /// Closes its batch.
    Last,
    /// Closes what is before it, each time it is asked.
    First,
    /// Closes what is before it, then goes alone.
    Alone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    id: usize,
    mark: Mark,
}

#[derive(Clone, Debug)]
enum Event {
    Push {
        key: u8,
        weight: u64,
        mark: Mark,
        flush: bool,
    },
    Pass {
        millis: u64,
    },
    FlushAll,
}

fn by_mark() -> impl Splitter<Item, State = bool> {
    split_fn(false, |started: &mut bool, item: &Item| {
        match (item.mark, std::mem::replace(started, true)) {
            (Mark::None, _) => Close::No,
            (Mark::Last, _) | (Mark::Alone, false) => Close::After,
            (Mark::First, _) | (Mark::Alone, true) => Close::Before,
        }
    })
}

// === the model ===

struct Listed {
    batch: ClosedBatch<u8, Item>,
    opened: Instant,
    due: Instant,
}

/// The open batches in the order of their last touch.
struct Model {
    rules: Rules,
    open: Vec<Listed>,
    closed: Vec<ClosedBatch<u8, Item>>,
}

impl Model {
    fn push(&mut self, key: u8, item: Item, weight: u64, flush: bool, now: Instant) {
        let found = self.open.iter().position(|listed| listed.batch.key == key);
        let mut listed = match found {
            Some(at) => self.open.remove(at),
            None => self.fresh(key, now),
        };
        if let Some(trigger) = self.closes_before(&listed.batch, item, weight) {
            self.close(listed, trigger, now);
            listed = self.fresh(key, now);
        }
        listed.batch.items.push(item);
        listed.batch.weight += weight;
        match self.closes_after(&listed.batch, item, flush) {
            Some(trigger) => self.close(listed, trigger, now),
            None => self.keep(listed, now),
        }
    }

    fn fresh(&self, key: u8, now: Instant) -> Listed {
        let batch = ClosedBatch {
            key,
            items: vec![],
            weight: 0,
            age: Duration::ZERO,
            trigger: Trigger::Drain,
        };
        Listed {
            batch,
            opened: now,
            due: now + self.rules.max_wait,
        }
    }

    fn closes_before(
        &self,
        batch: &ClosedBatch<u8, Item>,
        item: Item,
        weight: u64,
    ) -> Option<Trigger> {
        if batch.items.is_empty() {
            None
        } else if self
            .rules
            .max_weight
            .is_some_and(|max| batch.weight + weight > max)
        {
            Some(Trigger::Weight)
        } else {
            matches!(item.mark, Mark::First | Mark::Alone).then_some(Trigger::Custom)
        }
    }

    fn closes_after(
        &self,
        batch: &ClosedBatch<u8, Item>,
        item: Item,
        flush: bool,
    ) -> Option<Trigger> {
        let reasons = [
            (
                self.rules.max_weight.is_some_and(|max| batch.weight > max),
                Trigger::Weight,
            ),
            (
                batch.items.len() == self.rules.max_messages.get(),
                Trigger::Count,
            ),
            (
                matches!(item.mark, Mark::Last | Mark::Alone),
                Trigger::Custom,
            ),
            (flush, Trigger::Flush),
        ];
        reasons
            .into_iter()
            .find_map(|(holds, trigger)| holds.then_some(trigger))
    }

    fn keep(&mut self, listed: Listed, now: Instant) {
        if self.open.len() == self.rules.max_open_keys.get() {
            let oldest = self.open.remove(0);
            self.close(oldest, Trigger::Evicted, now);
        }
        self.open.push(listed);
    }

    fn expire(&mut self, now: Instant) {
        while let Some(due) = self.next_deadline().filter(|due| *due <= now) {
            // Of several due at once the one opened first: it holds the smallest first id.
            let first = self.open.iter().filter(|listed| listed.due == due);
            let id = first.map(|listed| listed.batch.items[0].id).min();
            let at = self
                .open
                .iter()
                .position(|listed| Some(listed.batch.items[0].id) == id);
            let listed = self.open.remove(at.unwrap());
            self.close(listed, Trigger::Age, now);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.open.iter().map(|listed| listed.due).min()
    }

    fn flush_all(&mut self, now: Instant) {
        for listed in std::mem::take(&mut self.open) {
            self.close(listed, Trigger::Drain, now);
        }
    }

    fn close(&mut self, listed: Listed, trigger: Trigger, now: Instant) {
        self.closed.push(ClosedBatch {
            trigger,
            age: now - listed.opened,
            ..listed.batch
        });
    }

    fn messages(&self) -> usize {
        self.open
            .iter()
            .map(|listed| listed.batch.items.len())
            .sum()
    }
}

// === any run of events ===

fn events() -> impl Strategy<Value = Vec<Event>> {
    let mark = prop_oneof![
        12 => Just(Mark::None), 1 => Just(Mark::Last), 1 => Just(Mark::First), 1 => Just(Mark::Alone),
    ];
    let push = (0..6_u8, 0..8_u64, mark, prop::bool::weighted(0.05)).prop_map(
        |(key, weight, mark, flush)| Event::Push {
            key,
            weight,
            mark,
            flush,
        },
    );
    let event = prop_oneof![
        20 => push,
        6 => (0..15_u64).prop_map(|millis| Event::Pass { millis }),
        1 => Just(Event::FlushAll),
    ];
    prop::collection::vec(event, 0..300)
}

fn any_rules() -> impl Strategy<Value = Rules> {
    (1..8_usize, prop::option::of(0..20_u64), 1..7_usize).prop_map(
        |(messages, max_weight, keys)| Rules {
            max_messages: count(messages),
            max_weight,
            max_wait: MAX_WAIT,
            max_open_keys: count(keys),
        },
    )
}

/// What came out of a run, and at what time of the run, in the order it came.
struct Run {
    start: Instant,
    pushed: Vec<(u8, Item, u64, Instant)>,
    closed: Vec<(ClosedBatch<u8, Item>, Instant)>,
}

/// Applies the events, expiring whenever time has passed, calls `check` after each, and drains.
fn run<S: Splitter<Item>>(
    batches: &mut OpenBatches<u8, Item, S>,
    events: &[Event],
    mut check: impl FnMut(
        &mut OpenBatches<u8, Item, S>,
        &Event,
        usize,
        Instant,
    ) -> Result<(), TestCaseError>,
) -> Result<Run, TestCaseError> {
    let start = Instant::now();
    let mut now = start;
    let mut run = Run {
        start,
        pushed: vec![],
        closed: vec![],
    };
    let mut closed = VecDeque::new();
    for event in events.iter().chain([&Event::FlushAll]) {
        let id = run.pushed.len();
        match *event {
            Event::Push {
                key,
                weight,
                mark,
                flush,
            } => {
                let item = Item { id, mark };
                batches.push(key, item, weight, flush, now, &mut closed);
                prop_assert!(
                    closed.len() <= 2,
                    "one push closed {} batches",
                    closed.len()
                );
                run.pushed.push((key, item, weight, now));
            }
            Event::Pass { millis } => {
                now += Duration::from_millis(millis);
                batches.expire(now, &mut closed);
            }
            Event::FlushAll => batches.flush_all(Trigger::Drain, now, &mut closed),
        }
        run.closed
            .extend(closed.drain(..).map(|batch| (batch, now)));
        check(batches, event, id, now)?;
    }
    Ok(run)
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(rules in any_rules(), events in events()) {
        let mut model = Model { rules: rules.clone(), open: vec![], closed: vec![] };
        let mut batches = OpenBatches::new(rules, by_mark());
        let run = run(&mut batches, &events, |batches, event, id, now| {
            match *event {
                Event::Push { key, weight, mark, flush } => model.push(key, Item { id, mark }, weight, flush, now),
                Event::Pass { .. } => model.expire(now),
                Event::FlushAll => model.flush_all(now),
            }
            prop_assert_eq!(batches.open_keys(), model.open.len());
            prop_assert_eq!(batches.messages(), model.messages());
            prop_assert_eq!(batches.next_deadline(), model.next_deadline());
            Ok(())
        })?;
        let closed: Vec<_> = run.closed.into_iter().map(|(batch, _)| batch).collect();
        prop_assert_eq!(closed, model.closed);
    }

    #[test]
    fn every_message_comes_out_once_and_in_the_order_of_its_key(rules in any_rules(), events in events()) {
        let run = run(&mut OpenBatches::new(rules, by_mark()), &events, |_, _, _, _| Ok(()))?;
        let mut sent = BTreeMap::<u8, Vec<usize>>::new();
        for (key, item, ..) in run.pushed {
            sent.entry(key).or_default().push(item.id);
        }
        let mut came = BTreeMap::<u8, Vec<usize>>::new();
        for (batch, _) in run.closed {
            came.entry(batch.key).or_default().extend(batch.items.iter().map(|item| item.id));
        }
        prop_assert_eq!(came, sent);
    }

    #[test]
    fn every_batch_is_within_the_limits(rules in any_rules(), events in events()) {
        let limits = rules.clone();
        let run = run(&mut OpenBatches::new(rules, by_mark()), &events, |batches, _, _, _| {
            prop_assert!(batches.open_keys() <= limits.max_open_keys.get());
            prop_assert!(batches.deadlines.len() <= 2 * batches.open_keys() + SLACK);
            Ok(())
        })?;
        for (batch, _) in &run.closed {
            let weight: u64 = batch.items.iter().map(|item| run.pushed[item.id].2).sum();
            prop_assert_eq!(batch.weight, weight);
            prop_assert!((1..=limits.max_messages.get()).contains(&batch.items.len()));
            prop_assert!(batch.items.len() == 1 || limits.max_weight.is_none_or(|max| weight <= max));
        }
    }

    #[test]
    fn no_batch_is_closed_by_age_early_and_none_is_kept_past_its_deadline(
        rules in any_rules(),
        events in events(),
    ) {
        let run = run(&mut OpenBatches::new(rules, by_mark()), &events, |batches, event, _, now| {
            let expired = matches!(event, Event::Pass { .. });
            prop_assert!(!expired || batches.next_deadline().is_none_or(|due| due > now));
            Ok(())
        })?;
        for (batch, at) in &run.closed {
            let waited = *at - run.pushed[batch.items[0].id].3;
            prop_assert_eq!(batch.trigger == Trigger::Age, waited >= MAX_WAIT, "at {:?}", *at - run.start);
        }
    }
}
