//! Any run of events against a naive model that keeps sets and searches them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Duration, Progress, WatermarkError, Watermarks, ceiling};

const CEILING: usize = 6;
const PARTITIONS: u32 = 3;

#[derive(Clone, Debug)]
enum Event {
    Assign {
        partition: u32,
        generation: u64,
    },
    Revoke {
        partition: u32,
    },
    Emit {
        partition: u32,
        generation: u64,
        offset: u64,
    },
    Settle {
        partition: u32,
        generation: u64,
        offset: u64,
    },
    /// Settles the n-th of the offsets emitted under the present assignment.
    SettleOne {
        partition: u32,
        nth: prop::sample::Index,
    },
    /// Emits the last offset plus a gap under the present assignment.
    EmitNext {
        partition: u32,
        gap: u64,
    },
}

/// One partition: every offset ever emitted under its assignment, with the time and whether it is
/// settled.
#[derive(Default)]
struct Listed {
    generation: u64,
    assigned: bool,
    all: BTreeMap<u64, (Duration, bool)>,
}

impl Listed {
    fn oldest(&self) -> Option<(u64, Duration)> {
        let unsettled = self.all.iter().find(|(_, (_, settled))| !settled);
        unsettled
            .filter(|_| self.assigned)
            .map(|(offset, (at, _))| (*offset, *at))
    }

    /// The highest offset with nothing unsettled at or before it, plus one.
    fn mark(&self) -> Option<u64> {
        let contiguous = self.all.iter().take_while(|(_, (_, settled))| *settled);
        contiguous.last().map(|(offset, _)| offset + 1)
    }

    fn outstanding(&self) -> usize {
        let beyond = self.mark().unwrap_or(0);
        if self.assigned {
            self.all.range(beyond..).count()
        } else {
            0
        }
    }

    fn present(&self, generation: u64) -> bool {
        self.assigned && self.generation == generation
    }

    fn settle(&mut self, generation: u64, offset: u64) -> Progress {
        if generation > self.generation {
            return Progress::Unknown;
        }
        if !self.present(generation) {
            return Progress::Stale;
        }
        let before = self.mark();
        let lowest = self.all.keys().next().copied();
        match self.all.get_mut(&offset) {
            Some((_, settled @ false)) => *settled = true,
            Some(_) => return Progress::Duplicate,
            // Which offsets below the mark were gaps is not remembered.
            None if Some(offset) > lowest && Some(offset) < before => return Progress::Duplicate,
            None => return Progress::Unknown,
        }
        match self.mark() {
            Some(commit) if Some(commit) != before => Progress::Advanced { commit },
            _ => Progress::Waiting,
        }
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let partition = 0..PARTITIONS;
    let generation = 1..5_u64;
    let offset = 0..30_u64;
    let event = prop_oneof![
        3 => (partition.clone(), generation.clone())
            .prop_map(|(partition, generation)| Event::Assign { partition, generation }),
        1 => partition.clone().prop_map(|partition| Event::Revoke { partition }),
        3 => (partition.clone(), generation.clone(), offset.clone())
            .prop_map(|(partition, generation, offset)| Event::Emit { partition, generation, offset }),
        6 => (partition.clone(), generation, offset)
            .prop_map(|(partition, generation, offset)| Event::Settle { partition, generation, offset }),
        20 => (partition.clone(), any::<prop::sample::Index>())
            .prop_map(|(partition, nth)| Event::SettleOne { partition, nth }),
        20 => (partition, prop_oneof![3 => Just(1), 1 => 1..5_u64])
            .prop_map(|(partition, gap)| Event::EmitNext { partition, gap }),
    ];
    prop::collection::vec(event, 0..120)
}

/// The marks and the model side by side.
struct Pair {
    marks: Watermarks,
    model: BTreeMap<u32, Listed>,
    /// Every commit that was told, with its generation.
    commits: Vec<(u32, u64, u64)>,
}

impl Pair {
    fn new() -> Self {
        let model = (0..PARTITIONS)
            .map(|partition| (partition, Listed::default()))
            .collect();
        Self {
            marks: Watermarks::new(ceiling(CEILING)),
            model,
            commits: vec![],
        }
    }

    fn apply(&mut self, event: &Event, at: Duration) -> Result<(), TestCaseError> {
        match *event {
            Event::Assign {
                partition,
                generation,
            } => self.assign(partition, generation),
            Event::Revoke { partition } => {
                self.marks.revoke(partition);
                self.listed(partition).assigned = false;
                Ok(())
            }
            Event::Emit {
                partition,
                generation,
                offset,
            } => self.emit(partition, generation, offset, at),
            Event::Settle {
                partition,
                generation,
                offset,
            } => self.settle(partition, generation, offset),
            Event::SettleOne { partition, nth } => {
                let listed = self.listed(partition);
                let generation = listed.generation;
                match listed.all.len() {
                    0 => Ok(()),
                    len => {
                        let offset = *listed.all.keys().nth(nth.index(len)).unwrap();
                        self.settle(partition, generation, offset)
                    }
                }
            }
            Event::EmitNext { partition, gap } => {
                let listed = self.listed(partition);
                let generation = listed.generation;
                let offset = listed.all.keys().last().copied().unwrap_or(0) + gap;
                self.emit(partition, generation, offset, at)
            }
        }
    }

    fn listed(&mut self, partition: u32) -> &mut Listed {
        self.model.get_mut(&partition).unwrap()
    }

    fn assign(&mut self, partition: u32, generation: u64) -> Result<(), TestCaseError> {
        let assigned = self.marks.assign(partition, generation);
        let listed = self.listed(partition);
        if generation > listed.generation {
            *listed = Listed {
                generation,
                assigned: true,
                all: BTreeMap::new(),
            };
            prop_assert_eq!(assigned, Ok(()));
        } else {
            prop_assert_eq!(assigned.is_ok(), listed.present(generation));
        }
        Ok(())
    }

    fn emit(
        &mut self,
        partition: u32,
        generation: u64,
        offset: u64,
        at: Duration,
    ) -> Result<(), TestCaseError> {
        let emitted = self.marks.emitted(partition, generation, offset, at);
        let listed = self.listed(partition);
        let never = listed.generation == 0 || generation > listed.generation;
        let last = listed.all.keys().last().copied();
        match emitted {
            Ok(()) => {
                prop_assert!(listed.present(generation) && Some(offset) > last);
                prop_assert!(listed.outstanding() < CEILING);
                listed.all.insert(offset, (at, false));
            }
            Err(WatermarkError::NotAssigned { .. }) => prop_assert!(never),
            Err(WatermarkError::Stale { .. }) => {
                prop_assert!(!never && !listed.present(generation));
            }
            Err(WatermarkError::NotAscending { last: told, .. }) => {
                prop_assert!(Some(told) == last && offset <= told);
            }
            Err(WatermarkError::Full { .. }) => prop_assert_eq!(listed.outstanding(), CEILING),
        }
        Ok(())
    }

    fn settle(
        &mut self,
        partition: u32,
        generation: u64,
        offset: u64,
    ) -> Result<(), TestCaseError> {
        let progress = self.marks.settled(partition, generation, offset);
        let never = self.listed(partition).generation == 0;
        let expected = if never {
            Progress::Unknown
        } else {
            self.listed(partition).settle(generation, offset)
        };
        prop_assert_eq!(progress, expected);
        if let Progress::Advanced { commit } = progress {
            self.commits.push((partition, generation, commit));
        }
        Ok(())
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        for (&partition, listed) in &self.model {
            let room = if listed.assigned {
                CEILING - listed.outstanding()
            } else {
                0
            };
            prop_assert_eq!(self.marks.outstanding(partition), listed.outstanding());
            prop_assert_eq!(self.marks.oldest(partition), listed.oldest());
            prop_assert_eq!(self.marks.room(partition), room);
        }
        Ok(())
    }
}

fn run(
    events: &[Event],
    mut check: impl FnMut(&Pair) -> Result<(), TestCaseError>,
) -> Result<Pair, TestCaseError> {
    let mut pair = Pair::new();
    for (event, second) in events.iter().zip(0..) {
        pair.apply(event, Duration::from_secs(second))?;
        check(&pair)?;
    }
    Ok(pair)
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(events in events()) {
        run(&events, Pair::agree)?;
    }

    #[test]
    fn a_commit_never_passes_the_oldest_unsettled_offset(events in events()) {
        run(&events, |pair| {
            for &(partition, generation, commit) in &pair.commits {
                let listed = &pair.model[&partition];
                let oldest = listed.oldest().filter(|_| listed.present(generation));
                prop_assert!(oldest.is_none_or(|(offset, _)| commit <= offset));
            }
            Ok(())
        })?;
    }

    #[test]
    fn commits_of_one_assignment_only_ascend(events in events()) {
        let commits = run(&events, |_| Ok(()))?.commits;
        let mut last = BTreeMap::new();
        for (partition, generation, commit) in commits {
            let before = last.insert((partition, generation), commit);
            prop_assert!(before < Some(commit));
        }
    }

    #[test]
    fn a_late_settlement_of_an_earlier_assignment_changes_nothing(
        events in events(),
        late in prop::collection::btree_set(0..30_u64, 0..10),
    ) {
        let mut pair = run(&events, |_| Ok(()))?;
        for partition in 0..PARTITIONS {
            let earlier = pair.listed(partition).generation;
            pair.assign(partition, earlier + 1)?;
            pair.emit(partition, earlier + 1, 3, Duration::ZERO)?;
            for &offset in &late {

                prop_assert_eq!(pair.marks.settled(partition, earlier, offset), Progress::Stale);
            }
        }
        pair.agree()?;
    }

    #[test]
    fn the_mark_reaches_the_end_in_whatever_order_the_offsets_settle(
        offsets in prop::collection::btree_set(any::<u64>().prop_map(|offset| offset / 2), 1..50),
        order in any::<u64>(),
    ) {
        let mut marks = Watermarks::default();
        marks.assign(0, 1)?;
        for &offset in &offsets {
            marks.emitted(0, 1, offset, Duration::ZERO)?;
        }
        let mut shuffled: Vec<u64> = offsets.iter().copied().collect();
        shuffled.sort_by_key(|offset| offset.wrapping_mul(order | 1));
        let mut unsettled: BTreeSet<u64> = offsets.clone();
        let mut commit = 0;
        for offset in shuffled {
            unsettled.remove(&offset);
            if let Progress::Advanced { commit: next } = marks.settled(0, 1, offset) {
                commit = next;
            }
            prop_assert!(unsettled.first().is_none_or(|oldest| commit <= *oldest));
        }
        prop_assert_eq!(Some(&(commit - 1)), offsets.last());
        prop_assert_eq!(marks.outstanding(0), 0);
    }
}
