//! One message of a key at a time, in order; different keys run side by side.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use towpath_core::{FailureRoute, Message, Receipt};

use super::{Discipline, Order};

/// Messages of one key keep their order; different keys run side by side.
pub struct ByKey<F> {
    key: Arc<F>,
    parking: usize,
    halt: bool,
}

impl<F> ByKey<F> {
    pub(crate) fn new(key: F, parking: usize) -> Self {
        Self {
            key: Arc::new(key),
            parking,
            halt: false,
        }
    }

    pub(crate) fn parking(&mut self, parking: usize) {
        self.parking = parking;
    }

    pub(crate) fn halt(&mut self) {
        self.halt = true;
    }
}

/// How many halted lanes are told apart; beyond them every lane is halted.
const MAX_HALTED: usize = 10_000;

/// An earlier message of the same key has failed, and the lane halts on failure.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the lane is halted: an earlier message of its key has failed")]
#[non_exhaustive]
pub struct LaneHalted;

/// The lanes of one worker: a key is in `busy` while a message of it runs.
pub struct Lanes<K, F, T> {
    key: Arc<F>,
    halt: bool,
    halted: HashSet<K>,
    busy: HashMap<K, VecDeque<Message<T>>>,
    /// Messages whose lane has become free.
    free: VecDeque<(Message<T>, K)>,
    parked: usize,
    parking: usize,
}

impl<T, R, K, F> Discipline<T, R> for Lanes<K, F, T>
where
    T: Send + 'static,
    K: Hash + Eq + Clone + Send + 'static,
    F: Fn(&T) -> K + Send + Sync + 'static,
{
    type Ticket = K;

    fn has_next(&mut self, inbox: &mut VecDeque<Message<T>>, failures: &mut FailureRoute) -> bool {
        while self.free.is_empty() && self.parked < self.parking && failures.is_clear() {
            let Some(message) = inbox.pop_front() else {
                return false;
            };
            self.sort_in(message, failures);
        }
        !self.free.is_empty()
    }

    fn next(&mut self, _inbox: &mut VecDeque<Message<T>>) -> Option<(Message<T>, K)> {
        let next = self.free.pop_front();
        self.parked -= usize::from(next.is_some());
        next
    }

    fn finish(
        &mut self,
        key: K,
        response: Option<(R, Receipt)>,
        failures: &mut FailureRoute,
        emit: &mut impl FnMut(R, Receipt),
    ) {
        match response {
            Some((response, receipt)) => emit(response, receipt),
            None if self.halt => self.halt_lane(&key, failures),
            None => {}
        }
        let next = self.busy.get_mut(&key).and_then(VecDeque::pop_front);
        match next {
            Some(message) => self.free.push_back((message, key)),
            None => drop(self.busy.remove(&key)),
        }
    }

    fn waiting(&self) -> usize {
        self.parked
    }
}

impl<K, F, T> Lanes<K, F, T>
where
    K: Hash + Eq + Clone,
    F: Fn(&T) -> K,
{
    fn sort_in(&mut self, message: Message<T>, failures: &mut FailureRoute) {
        let key = match catch_unwind(AssertUnwindSafe(|| (self.key)(message.payload()))) {
            Ok(key) => key,
            Err(panic) => {
                failures.stats().add_received(1);
                return failures.panicked(message.into_parts().1, panic);
            }
        };
        if self.is_halted(&key) {
            return halt(message, failures);
        }
        self.parked += 1;
        if let Some(lane) = self.busy.get_mut(&key) {
            lane.push_back(message);
        } else {
            self.busy.insert(key.clone(), VecDeque::new());
            self.free.push_back((message, key));
        }
    }

    fn is_halted(&self, key: &K) -> bool {
        self.halted.len() >= MAX_HALTED || self.halted.contains(key)
    }

    fn halt_lane(&mut self, key: &K, failures: &mut FailureRoute) {
        if self.halted.len() < MAX_HALTED {
            self.halted.insert(key.clone());
        }
        let lane = self.busy.get_mut(key).map(std::mem::take);
        for message in lane.unwrap_or_default() {
            self.parked -= 1;
            halt(message, failures);
        }
    }
}

/// A message that is never started has come to the stage all the same.
fn halt<T>(message: Message<T>, failures: &mut FailureRoute) {
    failures.stats().add_received(1);
    failures.fail(message.into_parts().1, LaneHalted);
}

impl<T, R, K, F> Order<T, R> for ByKey<F>
where
    T: Send + 'static,
    R: Send + 'static,
    K: Hash + Eq + Clone + Send + 'static,
    F: Fn(&T) -> K + Send + Sync + 'static,
{
    type Discipline = Lanes<K, F, T>;

    fn discipline(&self) -> Self::Discipline {
        Lanes {
            key: self.key.clone(),
            halt: self.halt,
            halted: HashSet::new(),
            busy: HashMap::new(),
            free: VecDeque::new(),
            parked: 0,
            parking: self.parking,
        }
    }

    fn spreads(&self) -> bool {
        false
    }

    fn word(&self) -> &'static str {
        "by key"
    }

    fn parking(&self) -> usize {
        self.parking
    }
}

impl<F> fmt::Debug for ByKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKey")
            .field("parking", &self.parking)
            .field("halt", &self.halt)
            .finish_non_exhaustive()
    }
}

impl<K, F, T> fmt::Debug for Lanes<K, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes")
            .field("busy", &self.busy.len())
            .field("parked", &self.parked)
            .finish_non_exhaustive()
    }
}
