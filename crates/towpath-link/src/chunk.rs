//! A recycled buffer of up to `max_demand` items: the unit that crosses a link.

use std::{collections::VecDeque, fmt, mem};

use crate::{invariants, lane::Buffer, shared::Shared, sync::Arc};

/// A buffer that belongs to one link and goes back to it, emptied, when dropped.
pub struct Chunk<T> {
    items: VecDeque<T>,
    mark: u64,
    home: Arc<Shared<T>>,
    state: State,
}

/// Where a chunk stands in the count that ends the link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Demand in the hand of a sender: not counted.
    Granted,
    /// Items in the hand of a receiver: counted.
    Loaded,
    /// The buffer travels on without this handle.
    Sent,
}

impl<T> Chunk<T> {
    pub(crate) fn granted(buffer: Buffer<T>, home: Arc<Shared<T>>) -> Self {
        Self {
            items: buffer.items,
            mark: 0,
            home,
            state: State::Granted,
        }
    }

    pub(crate) fn received(buffer: Buffer<T>, home: Arc<Shared<T>>) -> Self {
        home.gauge.left(buffer.items.len());
        Self {
            items: buffer.items,
            mark: buffer.mark,
            home,
            state: State::Loaded,
        }
    }

    /// Sends the items on over the link the chunk belongs to.
    ///
    /// Without items, or without anyone to receive them, it is dropped.
    pub(crate) fn travel(mut self) {
        if self.items.is_empty() {
            return;
        }
        debug_assert!(invariants::within_demand(self.len(), self.home.max_demand));
        if self.state == State::Granted {
            self.home.hold_open();
            self.home.gauge.loaded();
            self.state = State::Loaded;
        }
        let count = self.len();
        let buffer = Buffer {
            items: mem::take(&mut self.items),
            mark: self.mark,
        };
        // Counted before anybody can take it out again.
        self.home.gauge.entered(count);
        match self.home.full.put(buffer) {
            Ok(()) => self.state = State::Sent,
            Err(unwanted) => {
                self.home.gauge.left(count);
                self.items = unwanted.items;
            }
        }
    }

    /// Marks the chunk: whoever receives it, and what is left of it, reads the same mark.
    pub fn set_mark(&mut self, mark: u64) {
        self.mark = mark;
    }

    /// What its sender has marked it with; 0 unless it has.
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// Adds an item at the back.
    ///
    /// # Errors
    /// Gives the item back when the chunk holds `max_demand` items.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.room() == 0 {
            return Err(item);
        }
        self.items.push_back(item);
        Ok(())
    }

    /// Exchanges the items for those of `other`, at the cost of three words.
    ///
    /// Does nothing, and says so, when `other` holds more than the chunk takes.
    pub fn swap(&mut self, other: &mut VecDeque<T>) -> bool {
        let fits = other.len() <= self.home.max_demand;
        if fits {
            mem::swap(&mut self.items, other);
        }
        fits
    }

    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop_front()
    }

    /// Takes all items, oldest first.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.items.drain(..)
    }

    /// Takes up to `count` items, oldest first.
    pub fn drain_front(&mut self, count: usize) -> impl Iterator<Item = T> + '_ {
        let count = count.min(self.items.len());
        self.items.drain(..count)
    }

    /// How many items the chunk holds.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the chunk holds nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many more items the chunk takes.
    pub fn room(&self) -> usize {
        self.home.max_demand - self.items.len()
    }
}

impl<T> Drop for Chunk<T> {
    fn drop(&mut self) {
        if self.state == State::Sent {
            return;
        }
        // The way home is the drop of a guard: it is taken even if an item panics when dropped.
        let way_home = WayHome(self);
        way_home.0.items.clear();
    }
}

struct WayHome<'a, T>(&'a mut Chunk<T>);

impl<T> Drop for WayHome<'_, T> {
    fn drop(&mut self) {
        let Chunk {
            items, home, state, ..
        } = &mut *self.0;
        let emptied = Buffer {
            items: mem::take(items),
            mark: 0,
        };
        // Closed means that no receiver is left to make demand for: the buffer may go.
        drop(home.empty.put(emptied));
        if *state == State::Loaded {
            home.gauge.emptied();
            home.let_go();
        }
    }
}

impl<T> fmt::Debug for Chunk<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("len", &self.items.len())
            .field("room", &self.room())
            .finish_non_exhaustive()
    }
}
