//! A recycled buffer of up to `max_demand` items: the unit that crosses a link.

use std::{collections::VecDeque, fmt, mem};

use crate::{invariants, lane::Buffer, shared::Shared, sync::Arc};

/// A buffer that belongs to one link and goes back to it, emptied, when dropped.
pub struct Chunk<T> {
    items: Buffer<T>,
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
    pub(crate) fn granted(items: Buffer<T>, home: Arc<Shared<T>>) -> Self {
        Self {
            items,
            home,
            state: State::Granted,
        }
    }

    pub(crate) fn received(items: Buffer<T>, home: Arc<Shared<T>>) -> Self {
        Self {
            items,
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
            self.state = State::Loaded;
        }
        match self.home.full.put(mem::take(&mut self.items)) {
            Ok(()) => self.state = State::Sent,
            Err(unwanted) => self.items = unwanted,
        }
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
        let Chunk { items, home, state } = &mut *self.0;
        // Closed means that no receiver is left to make demand for: the buffer may go.
        drop(home.empty.put(mem::take(items)));
        if *state == State::Loaded {
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
