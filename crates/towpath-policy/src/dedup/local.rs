//! What the calls of one layer share: the table, and the store where there is one.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    Claim, DedupStore,
    table::{Seat, Table},
    ticket::Ticket,
};
use crate::{Key, WhenStoreFails, context, lock::lock};

pub(super) struct Local {
    table: Mutex<Table>,
    numbers: AtomicU64,
    duplicates: AtomicU64,
    pub(super) ttl: Duration,
    pub(super) sharing: Option<Sharing>,
}

/// The store, and how it is used.
pub(super) struct Sharing {
    pub(super) store: Arc<dyn DedupStore>,
    pub(super) name: Arc<str>,
    /// Who this is to the store.
    pub(super) owner: u64,
    pub(super) lease: Duration,
    pub(super) when_store_fails: WhenStoreFails,
}

impl Sharing {
    /// The claim of one call.
    pub(super) fn claim(&self, seat: &Seat) -> Claim {
        Claim {
            name: self.name.clone(),
            key: seat.key.clone(),
            owner: self.owner,
            number: seat.number,
            again: seat.again,
        }
    }
}

impl Local {
    pub(super) fn new(max_keys: usize, ttl: Duration, sharing: Option<Sharing>) -> Self {
        Self {
            table: Mutex::new(Table::new(max_keys, ttl)),
            numbers: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            ttl,
            sharing,
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.sharing.is_some()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.with(|table| table.in_flight())
    }

    pub(super) fn remembered(&self) -> usize {
        self.with(|table| table.remembered())
    }

    pub(super) fn duplicates(&self) -> u64 {
        self.duplicates.load(Relaxed)
    }

    pub(super) fn count_duplicate(&self) {
        self.duplicates.fetch_add(1, Relaxed);
    }

    /// The ticket of a call that is made now, in its context.
    pub(super) fn ticket(self: &Arc<Self>, key: Key) -> Ticket {
        let number = self.numbers.fetch_add(1, Relaxed);
        let seat = Seat::new(key, number).again(context::redelivered());
        Ticket::new(self.clone(), seat)
    }

    /// Changes the table; wakers are called and dropped when it is unlocked again.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut Table) -> R) -> R {
        let mut table = lock(&self.table);
        let result = change(&mut table);
        let after = std::mem::take(&mut table.after);
        drop(table);
        after.run();
        result
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.sharing.as_ref().map(|sharing| &sharing.store);
        f.debug_struct("Local")
            .field("ttl", &self.ttl)
            .field("store", &store)
            .finish_non_exhaustive()
    }
}
