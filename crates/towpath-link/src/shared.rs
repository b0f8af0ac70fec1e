//! What both ends of a link share: the two lanes and the counts that end it.

use std::{collections::VecDeque, num::NonZeroUsize};

use crate::{
    Chunk, Receiver, Sender,
    gauge::Gauge,
    lane::{Buffer, Lane},
    sync::{Arc, AtomicUsize, Ordering},
};

/// Larger chunks grow to their size when first filled.
const PREALLOCATED_ITEMS: usize = 1024;

/// How much a link holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The number of recycled chunks.
    pub buffers: NonZeroUsize,
    /// The capacity of each chunk, in items.
    pub max_demand: NonZeroUsize,
}

impl Size {
    /// The most items that can be in the link at once.
    #[must_use]
    pub fn bound(self) -> usize {
        self.buffers.get().saturating_mul(self.max_demand.get())
    }
}

#[derive(Debug)]
pub(crate) struct Shared<T> {
    pub(crate) full: Lane<T>,
    pub(crate) empty: Lane<T>,
    pub(crate) max_demand: usize,
    pub(crate) buffers: usize,
    pub(crate) gauge: Gauge,
    /// Reasons to keep `full` open: the live senders and the loaded chunks.
    open: AtomicUsize,
    receivers: AtomicUsize,
}

/// Makes a link with all of its chunks empty: the first demand.
#[must_use]
pub fn link<T>(size: Size) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared::new(size));
    (Sender::new(shared.clone()), Receiver::new(shared))
}

impl<T> Shared<T> {
    fn new(size: Size) -> Self {
        let (buffers, max_demand) = (size.buffers.get(), size.max_demand.get());
        let empty = Lane::new(buffers);
        for _ in 0..buffers {
            let items = VecDeque::with_capacity(max_demand.min(PREALLOCATED_ITEMS));
            let put = empty.put(Buffer { items, mark: 0 });
            debug_assert!(put.is_ok(), "nobody has closed it yet");
        }
        Self {
            full: Lane::new(buffers),
            empty,
            max_demand,
            buffers,
            gauge: Gauge::default(),
            open: AtomicUsize::new(0),
            receivers: AtomicUsize::new(0),
        }
    }

    /// Counts one more reason to keep the link open.
    pub(crate) fn hold_open(&self) {
        self.open.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes one reason away; the last one ends the link.
    pub(crate) fn let_go(&self) {
        if self.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.full.close();
        }
    }

    pub(crate) fn receiver_joined(&self) {
        self.receivers.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether anybody can receive.
    pub(crate) fn is_wanted(&self) -> bool {
        self.receivers.load(Ordering::SeqCst) > 0
    }

    /// The last receiver to leave ends the demand, and drops what nobody will receive.
    pub(crate) fn receiver_left(self: &Arc<Self>) {
        if self.receivers.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.empty.shut();
            let unread = self.full.shut().into_iter();
            // Collected, so that an item that panics when dropped leaves none of the others behind.
            let unread: Vec<_> = unread
                .map(|items| Chunk::received(items, self.clone()))
                .collect();
            drop(unread);
        }
    }
}
