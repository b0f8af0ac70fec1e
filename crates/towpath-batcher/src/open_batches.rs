//! The open batches by key: decides, message by message, which of them close.
//!
//! # Constraints
//! - At most `max_open_keys` batches of `max_messages` messages are open.
//! - One push closes at most two batches.
//! - A push is O(1), averaged over the batches it closes. The key is hashed when
//!   its batch opens or closes, and when it differs from the key before.
//! - The line of deadlines is never longer than twice the open batches plus 64.

mod deadlines;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, fmt, hash::Hash, time::Duration};

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use self::deadlines::Deadlines;
use crate::{Close, NoSplit, Rules, Splitter, Trigger};

/// The most emptied buffers that are kept for the next batches.
const MAX_SPARE: usize = 64;

/// The messages of one key that go on together, in the order they came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClosedBatch<K, T> {
    /// What all of them have in common.
    pub key: K,
    /// The messages, at least one.
    pub items: Vec<T>,
    /// The sum of their weights.
    pub weight: u64,
    /// How long ago the first of them came.
    pub age: Duration,
    /// Why the batch was closed.
    pub trigger: Trigger,
}

/// The open batches by key.
///
/// A plain state machine, told the time by its caller, who passes a `now` that
/// never goes back, and calls [`expire`](Self::expire) when
/// [`next_deadline`](Self::next_deadline) is due. Closed batches are appended
/// to the queue that the caller passes.
///
/// A panic of the splitter in [`push`](Self::push) drops the message that was
/// pushed and no other; everything stays usable.
pub struct OpenBatches<K, T, S: Splitter<T> = NoSplit> {
    rules: Rules,
    splitter: S,
    /// Least recently touched first.
    open: LinkedHashMap<K, Open<T, S::State>>,
    deadlines: Deadlines<K>,
    /// The number of batches opened so far: tells apart two batches of one key.
    generation: u64,
    messages: usize,
    spare: Vec<Vec<T>>,
}

struct Open<T, State> {
    items: Vec<T>,
    weight: u64,
    opened: Instant,
    state: State,
    generation: u64,
}

/// A message on its way in.
struct Arrival<T> {
    item: T,
    weight: u64,
    flush: bool,
}

// === impl OpenBatches ===

impl<K, T, S> OpenBatches<K, T, S>
where
    K: Hash + Eq + Clone,
    S: Splitter<T>,
{
    /// Makes a set without open batches.
    pub fn new(rules: Rules, splitter: S) -> Self {
        Self {
            rules,
            splitter,
            open: LinkedHashMap::new(),
            deadlines: Deadlines::new(),
            generation: 0,
            messages: 0,
            spare: Vec::new(),
        }
    }

    /// Adds a message to the batch of its key and closes what that fills.
    ///
    /// `flush` closes the batch of the key, this message included. Appends at
    /// most two batches to `closed`.
    pub fn push(
        &mut self,
        key: K,
        item: T,
        weight: u64,
        flush: bool,
        now: Instant,
        closed: &mut VecDeque<ClosedBatch<K, T>>,
    ) {
        let arrival = Arrival {
            item,
            weight,
            flush,
        };
        let Some(open) = touch(&mut self.open, &key) else {
            return self.start(key, arrival, now, closed);
        };
        match open.admit(&self.rules, &self.splitter, &arrival) {
            Ok(custom) => {
                let trigger = open.join(&self.rules, arrival, custom);
                self.messages += 1;
                if let Some(trigger) = trigger {
                    self.close_newest(trigger, now, closed);
                }
            }
            Err(trigger) => {
                self.close_newest(trigger, now, closed);
                self.start(key, arrival, now, closed);
            }
        }
    }

    /// As [`push`](Self::push) for the first `count` of `items`, until a batch closes.
    ///
    /// They are of one key, weigh nothing and are not split; `flush` is the mark of the last.
    pub(crate) fn push_run(
        &mut self,
        key: K,
        items: &mut Vec<T>,
        count: usize,
        flush: bool,
        now: Instant,
        closed: &mut VecDeque<ClosedBatch<K, T>>,
    ) {
        let Some(open) = touch(&mut self.open, &key) else {
            let first = items.remove(0);
            return self.push(key, first, 0, flush && count == 1, now, closed);
        };
        let room = self.rules.max_messages.get() - open.items.len();
        let joining = room.min(count);
        if joining == items.len() {
            open.items.append(items);
        } else {
            open.items.extend(items.drain(..joining));
        }
        self.messages += joining;
        let flush = flush && joining == count;
        let trigger = self
            .rules
            .trigger(open.items.len(), open.weight, false, flush);
        if let Some(trigger) = trigger {
            self.close_newest(trigger, now, closed);
        }
    }

    /// Whether the splitter may close a batch.
    pub(crate) fn splits(&self) -> bool {
        self.splitter.splits()
    }

    /// Closes every batch whose first message has waited for `max_wait`, the
    /// oldest first.
    pub fn expire(&mut self, now: Instant, closed: &mut VecDeque<ClosedBatch<K, T>>) {
        while let Some(key) = self.deadlines.pop_due(now, live_in(&self.open)) {
            if let Some((key, open)) = self.open.remove_entry(&key) {
                self.close(key, open, Trigger::Age, now, closed);
            }
        }
    }

    /// Returns when the oldest open batch is due, `None` if none ever is.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        self.deadlines.next(live_in(&self.open))
    }

    /// Closes every open batch for the same reason, the least recently touched first.
    pub fn flush_all(
        &mut self,
        trigger: Trigger,
        now: Instant,
        closed: &mut VecDeque<ClosedBatch<K, T>>,
    ) {
        self.deadlines.clear();
        self.messages = 0;
        closed.extend(
            self.open
                .drain()
                .map(|(key, open)| open.close(key, trigger, now)),
        );
    }

    /// Keeps the buffer of a batch that is done for a batch to come.
    ///
    /// Whatever is left in it is dropped.
    pub fn give_back(&mut self, mut items: Vec<T>) {
        items.clear();
        if items.capacity() > 0 && self.spare.len() < self.max_spare() {
            self.spare.push(items);
        }
    }

    /// Returns the number of open batches.
    pub fn open_keys(&self) -> usize {
        self.open.len()
    }

    /// Returns the number of messages in open batches.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Returns whether no batch is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns the rules that batches close by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Starts a batch with its first message; one that closes at once takes no place among the
    /// open ones and evicts none.
    fn start(
        &mut self,
        key: K,
        arrival: Arrival<T>,
        now: Instant,
        closed: &mut VecDeque<ClosedBatch<K, T>>,
    ) {
        let mut open = self.fresh(now);
        let custom = self.splitter.observe(&mut open.state, &arrival.item) == Close::After;
        if let Some(trigger) = open.join(&self.rules, arrival, custom) {
            closed.push_back(open.close(key, trigger, now));
            return;
        }
        self.make_room(now, closed);
        if let Some(at) = now.checked_add(self.rules.max_wait) {
            self.deadlines.push(at, key.clone(), open.generation);
        }
        self.open.insert(key, open);
        self.messages += 1;
    }

    fn fresh(&mut self, now: Instant) -> Open<T, S::State> {
        self.generation += 1;
        Open {
            state: self.splitter.start(),
            items: self.spare.pop().unwrap_or_default(),
            weight: 0,
            opened: now,
            generation: self.generation,
        }
    }

    fn make_room(&mut self, now: Instant, closed: &mut VecDeque<ClosedBatch<K, T>>) {
        if self.open.len() >= self.rules.max_open_keys.get()
            && let Some((key, open)) = self.open.pop_front()
        {
            self.close(key, open, Trigger::Evicted, now, closed);
        }
    }

    fn close_newest(
        &mut self,
        trigger: Trigger,
        now: Instant,
        closed: &mut VecDeque<ClosedBatch<K, T>>,
    ) {
        if let Some((key, open)) = self.open.pop_back() {
            self.close(key, open, trigger, now, closed);
        }
    }

    fn close(
        &mut self,
        key: K,
        open: Open<T, S::State>,
        trigger: Trigger,
        now: Instant,
        closed: &mut VecDeque<ClosedBatch<K, T>>,
    ) {
        self.messages -= open.items.len();
        closed.push_back(open.close(key, trigger, now));
        self.deadlines.trim(self.open.len(), live_in(&self.open));
    }

    fn max_spare(&self) -> usize {
        self.rules.max_open_keys.get().min(MAX_SPARE)
    }
}

impl<K, T, S: Splitter<T>> fmt::Debug for OpenBatches<K, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBatches")
            .field("rules", &self.rules)
            .field("open_keys", &self.open.len())
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}

// === impl Open ===

impl<T, State> Open<T, State> {
    /// Says whether the message joins this batch, and then whether the splitter closes the batch
    /// after it, or else why the batch closes before it.
    fn admit<S>(
        &mut self,
        rules: &Rules,
        splitter: &S,
        arrival: &Arrival<T>,
    ) -> Result<bool, Trigger>
    where
        S: Splitter<T, State = State>,
    {
        if rules.overflows(self.weight.saturating_add(arrival.weight)) {
            return Err(Trigger::Weight);
        }
        match splitter.observe(&mut self.state, &arrival.item) {
            Close::No => Ok(false),
            Close::After => Ok(true),
            Close::Before => Err(Trigger::Custom),
        }
    }

    /// Takes the message in and says why the batch closes after it, if it does.
    fn join(&mut self, rules: &Rules, arrival: Arrival<T>, custom: bool) -> Option<Trigger> {
        self.items.push(arrival.item);
        self.weight = self.weight.saturating_add(arrival.weight);
        rules.trigger(self.items.len(), self.weight, custom, arrival.flush)
    }

    fn close<K>(self, key: K, trigger: Trigger, now: Instant) -> ClosedBatch<K, T> {
        ClosedBatch {
            key,
            items: self.items,
            weight: self.weight,
            age: now.saturating_duration_since(self.opened),
            trigger,
        }
    }
}

/// Returns the open batch of `key` and makes it the most recently touched one.
///
/// Messages of one key in a row, or of the only key, are neither hashed nor relinked.
fn touch<'a, K: Hash + Eq, V>(open: &'a mut LinkedHashMap<K, V>, key: &K) -> Option<&'a mut V> {
    if open.back().is_some_and(|(newest, _)| newest == key) {
        return open.iter_mut().next_back().map(|(_, batch)| batch);
    }
    open.to_back(key)
}

/// Tells whether the batch that a deadline was made for is still open.
fn live_in<K: Hash + Eq, T, State>(
    open: &LinkedHashMap<K, Open<T, State>>,
) -> impl Fn(&K, u64) -> bool {
    |key, generation| {
        open.get(key)
            .is_some_and(|open| open.generation == generation)
    }
}
