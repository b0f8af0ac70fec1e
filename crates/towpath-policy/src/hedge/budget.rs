//! How many further calls there may be: each call pays in a part of one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What one further call costs.
const CALL: u64 = 1_000_000;

/// How much can be saved, and is there at the start.
const MOST: u64 = 10 * CALL;

#[derive(Debug)]
pub(super) struct Budget {
    saved: AtomicU64,
    income: u64,
    spent: AtomicU64,
}

impl Budget {
    pub(super) fn new(ratio: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "the ratio was checked: it is from 0 to 1"
        )]
        let income = (ratio * CALL as f64) as u64;
        Self {
            saved: AtomicU64::new(MOST),
            income,
            spent: AtomicU64::new(0),
        }
    }

    /// A call was made.
    #[inline]
    pub(super) fn deposit(&self) {
        if self.saved.load(Relaxed) < MOST {
            self.add(self.income);
        }
    }

    /// Pays for a further call, if there is enough.
    pub(super) fn withdraw(&self) -> bool {
        let pay = |saved: u64| saved.checked_sub(CALL);
        let paid = self.saved.fetch_update(Relaxed, Relaxed, pay).is_ok();
        if paid {
            self.spent.fetch_add(1, Relaxed);
        }
        paid
    }

    /// The further call was not made after all.
    pub(super) fn refund(&self) {
        self.add(CALL);
        self.spent.fetch_sub(1, Relaxed);
    }

    /// How many further calls were paid for.
    pub(super) fn spent(&self) -> u64 {
        self.spent.load(Relaxed)
    }

    fn add(&self, amount: u64) {
        let add = |saved: u64| Some((saved + amount).min(MOST));
        self.saved
            .fetch_update(Relaxed, Relaxed, add)
            .unwrap_or_else(|unchanged| unchanged);
    }
}
