//! What always holds for a link, as plain functions that tests, models and debug assertions share.

use crate::Size;

/// Where the chunks of a link are at one moment, and how many items they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Chunks at home: the demand that nobody has met yet.
    pub empty: usize,
    /// Chunks on their way to a receiver.
    pub full: usize,
    /// Chunks in the hands of senders and receivers.
    pub held: usize,
    /// The items in all of them.
    pub items: usize,
}

/// No chunk is lost or made up, and the items stay within the bound.
#[must_use]
pub fn link_holds(size: Size, census: Census) -> bool {
    let chunks = census.empty + census.full + census.held;
    chunks == size.buffers.get() && census.items <= size.bound()
}

/// All credit is back: nothing is inside, and every chunk is demand.
#[must_use]
pub fn credit_is_home(size: Size, census: Census) -> bool {
    link_holds(size, census) && census.items == 0 && census.empty == size.buffers.get()
}

/// A chunk never holds more than was asked for.
#[must_use]
pub fn within_demand(items: usize, max_demand: usize) -> bool {
    items <= max_demand
}
