//! What was given back to a bucket lately: it counts against what was taken in between.

use std::collections::VecDeque;

/// All that was given back, the latest of it one by one.
#[derive(Debug, Default)]
pub(super) struct Returns {
    recent: VecDeque<Return>,
    /// The total of what was forgotten.
    forgotten: u64,
}

/// All numbers are on clocks that wrap around.
#[derive(Debug)]
struct Return {
    /// When what is given back had been taken, at the earliest, in the order of the takes.
    taken: u64,
    /// What had been given back in total with this.
    total: u64,
    amount: u64,
}

/// Beyond these all count against everybody: that gives back less, never more.
const REMEMBERED: usize = 16;

// === impl Returns ===

impl Returns {
    /// What was given back of what was taken before `taken`, after the total was `total`.
    pub(super) fn between(&self, taken: u64, total: u64) -> u64 {
        let forgotten = self.forgotten.wrapping_sub(total);
        let forgotten = if is_ahead(forgotten) { forgotten } else { 0 };
        let recent = self.recent.iter().filter(|back| {
            is_ahead(back.total.wrapping_sub(total)) && !is_ahead(back.taken.wrapping_sub(taken))
        });
        recent.fold(forgotten, |sum, back| sum.saturating_add(back.amount))
    }

    pub(super) fn add(&mut self, taken: u64, total: u64, amount: u64) {
        if amount == 0 {
            return;
        }
        self.recent.push_back(Return {
            taken,
            total,
            amount,
        });
        if self.recent.len() > REMEMBERED
            && let Some(oldest) = self.recent.pop_front()
        {
            self.forgotten = oldest.total;
        }
    }
}

fn is_ahead(distance: u64) -> bool {
    distance != 0 && distance < 1 << 63
}
