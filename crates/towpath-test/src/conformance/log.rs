//! What came out of a source, in the order it came.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use super::Parcel;
use crate::hold::lock;

/// One delivery.
#[derive(Clone, Debug)]
pub(super) struct Came {
    /// The number in its payload; `None` for what the rule has not put in.
    pub(super) number: Option<usize>,
    pub(super) parcel: Parcel,
    pub(super) member: usize,
    /// How often this number came before.
    pub(super) before: usize,
}

/// All deliveries of a rule. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    came: Vec<Came>,
    times: BTreeMap<usize, usize>,
    done: BTreeMap<usize, usize>,
}

// === impl Log ===

impl Log {
    pub(super) fn note(&self, parcel: Parcel, member: usize) -> Came {
        let number = parcel.number();
        let mut entries = lock(&self.0);
        let times = number.map(|number| entries.times.entry(number).or_default());
        let before = times.map_or(0, |times| {
            *times += 1;
            *times - 1
        });
        let came = Came {
            number,
            parcel,
            member,
            before,
        };
        entries.came.push(came.clone());
        came
    }

    /// The work on a message has succeeded.
    pub(super) fn note_done(&self, came: &Came) {
        if let Some(number) = came.number {
            *lock(&self.0).done.entry(number).or_default() += 1;
        }
    }

    pub(super) fn all(&self) -> Vec<Came> {
        lock(&self.0).came.clone()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).came.len()
    }

    /// The numbers that came.
    pub(super) fn numbers(&self) -> BTreeSet<usize> {
        lock(&self.0).times.keys().copied().collect()
    }

    /// The numbers whose work has succeeded.
    pub(super) fn done(&self) -> BTreeSet<usize> {
        lock(&self.0).done.keys().copied().collect()
    }

    /// The numbers that came more than once.
    pub(super) fn repeated(&self) -> Vec<usize> {
        let entries = lock(&self.0);
        let repeated = entries.times.iter().filter(|(_, times)| **times > 1);
        repeated.map(|(number, _)| *number).collect()
    }

    /// The numbers that a member was given.
    pub(super) fn of(&self, member: usize) -> BTreeSet<usize> {
        let entries = lock(&self.0);
        let own = entries.came.iter().filter(|came| came.member == member);
        own.filter_map(|came| came.number).collect()
    }

    /// Those of `numbers` that have not come.
    pub(super) fn missing(&self, numbers: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let entries = lock(&self.0);
        let missing = |number: &usize| !entries.times.contains_key(number);
        numbers.into_iter().filter(missing).collect()
    }
}

/// Numbers in a message: a few of them, and how many.
pub(super) fn few(numbers: &[usize]) -> String {
    let shown: Vec<_> = numbers.iter().take(10).map(ToString::to_string).collect();
    let more = if numbers.len() > 10 { ", .." } else { "" };
    format!("{} ({}{more})", numbers.len(), shown.join(", "))
}
