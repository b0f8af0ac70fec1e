//! What became of each item that went into a link.

use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger(Arc<Mutex<Account>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) created: usize,
    /// In the order in which they were received.
    pub(crate) received: Vec<usize>,
    /// Dropped inside the link, in that order.
    pub(crate) lost: Vec<usize>,
    pub(crate) high_water: usize,
}

impl Account {
    pub(crate) fn inside(&self) -> usize {
        self.created - self.received.len() - self.lost.len()
    }

    /// Each item left the link once, and none is left.
    pub(crate) fn is_settled(&self) -> bool {
        let mut gone = [self.received.as_slice(), self.lost.as_slice()].concat();
        gone.sort_unstable();
        gone.into_iter().eq(0..self.created)
    }
}

/// An item that tells its ledger when it is received, or dropped instead.
#[derive(Debug)]
pub(crate) struct Item {
    number: usize,
    received: bool,
    ledger: Ledger,
}

impl Ledger {
    /// An item that counts as inside from now on.
    pub(crate) fn item(&self) -> Item {
        let mut account = self.lock();
        let number = account.created;
        account.created += 1;
        account.high_water = account.high_water.max(account.inside());
        Item {
            number,
            received: false,
            ledger: self.clone(),
        }
    }

    pub(crate) fn account(&self) -> Account {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().expect("no assertion is made under this lock")
    }
}

impl Item {
    pub(crate) fn receive(mut self) {
        self.received = true;
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        let mut account = self.ledger.lock();
        if self.received {
            account.received.push(self.number);
        } else {
            account.lost.push(self.number);
        }
    }
}
