//! Settles finished messages in runs, so that a chunk costs one update and not sixty-four.

use std::sync::Arc;

use super::{Delivered, Header, Receipt};
use crate::Outcome;

/// Collects the receipts of messages that are done and settles them in runs.
///
/// A worker owns one and flushes it before it parks: nothing waits for a chunk to be full.
#[derive(Debug, Default)]
pub struct Settler {
    done: Vec<Receipt>,
    indices: Vec<u32>,
}

impl Settler {
    /// Takes the receipt of a message that is done.
    #[inline]
    pub fn push(&mut self, receipt: Receipt) {
        self.done.push(receipt);
    }

    /// Settles messages that are done, in order; leaves an empty buffer behind.
    pub fn settle_all(&mut self, receipts: &mut Vec<Receipt>) {
        self.flush();
        std::mem::swap(&mut self.done, receipts);
        self.flush();
    }

    /// Settles what was collected, in the order it came.
    pub fn flush(&mut self) {
        let mut done = std::mem::take(&mut self.done);
        let mut rest = done.as_mut_slice();
        while let Some(first) = rest.first() {
            let run = run_length(first, rest);
            let (head, tail) = rest.split_at_mut(run);
            self.settle_run(head);
            rest = tail;
        }
        done.clear();
        self.done = done;
    }

    fn settle_run(&mut self, run: &mut [Receipt]) {
        match run[0].header.clone().as_deref() {
            Some(Header::Delivered(delivered)) => self.settle_delivered(delivered, run),
            _ => run.iter_mut().for_each(|r| r.settle_now(Outcome::Done)),
        }
    }

    fn settle_delivered(&mut self, delivered: &Delivered, run: &mut [Receipt]) {
        let mut count = 0;
        self.indices.clear();
        let wanted = delivered.port.is_some();
        for receipt in run.iter_mut().filter(|r| !r.is_settled()) {
            receipt.marks |= super::SETTLED;
            count += 1;
            if wanted {
                self.indices.push(receipt.index);
            }
        }
        delivered.ledger.settled_done(count, delivered.took());
        if let Some((port, chunk)) = &delivered.port {
            port.settle_done(*chunk, &self.indices);
        }
    }
}

/// How many receipts at the front are of the same source chunk.
fn run_length(first: &Receipt, receipts: &[Receipt]) -> usize {
    let same = |other: &&Receipt| match (&first.header, &other.header) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    receipts.iter().take_while(same).count().max(1)
}
