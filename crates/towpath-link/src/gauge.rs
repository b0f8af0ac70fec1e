//! What is in a link now, for whoever looks on: nothing in the link depends on it.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::{shared::Shared, sync::Arc};

/// Counts of what is in a link. Not the model checker's atomics: no order rests on them.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// Items in full chunks that nobody has received.
    items: AtomicUsize,
    /// Chunks that have been sent and are not emptied, those in hands included.
    loaded: AtomicUsize,
}

/// Looks at a link from outside. Keeps neither end alive.
pub struct Watch<T>(Arc<Shared<T>>);

impl Gauge {
    pub(crate) fn entered(&self, items: usize) {
        self.items.fetch_add(items, Relaxed);
    }

    pub(crate) fn left(&self, items: usize) {
        self.items.fetch_sub(items, Relaxed);
    }

    pub(crate) fn loaded(&self) {
        self.loaded.fetch_add(1, Relaxed);
    }

    pub(crate) fn emptied(&self) {
        self.loaded.fetch_sub(1, Relaxed);
    }
}

impl<T> Watch<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>) -> Self {
        Self(shared)
    }

    /// How many items wait to be received. Exact when nothing moves.
    pub fn items(&self) -> usize {
        self.0.gauge.items.load(Relaxed)
    }

    /// How many items are asked for that nobody has sent: the room of all chunks that are on
    /// their way to a sender, or with one. None once the last receiver is gone.
    pub fn demand(&self) -> usize {
        if !self.0.is_wanted() {
            return 0;
        }
        let loaded = self.0.gauge.loaded.load(Relaxed);
        let empty = self.0.buffers.saturating_sub(loaded);
        empty.saturating_mul(self.0.max_demand)
    }

    /// The most items that can be in the link at once.
    pub fn capacity(&self) -> usize {
        self.0.buffers.saturating_mul(self.0.max_demand)
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("items", &self.items())
            .field("demand", &self.demand())
            .finish_non_exhaustive()
    }
}
