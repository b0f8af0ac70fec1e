//! Settles finished messages in runs, so that a chunk costs one update and not sixty-four.

use std::sync::Arc;

use super::{Delivered, Header, Receipt, SETTLED, TRACED};
use crate::{Message, Outcome};

/// Collects the receipts of messages that are done and settles them in runs.
///
/// A worker owns one and flushes it before it parks: nothing waits for a chunk to be full.
#[derive(Debug, Default)]
pub struct Settler {
    done: Vec<Receipt>,
    indices: Vec<u32>,
}

/// Receipts in a row that are of one source chunk.
struct Run<'a> {
    header: &'a Arc<Header>,
    delivered: &'a Delivered,
    count: u64,
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
        settle_runs(&mut self.indices, receipts.iter_mut());
        receipts.clear();
    }

    /// Settles messages that are done where they are; their receipts change nothing any more.
    pub fn settle_in_place<'a, T: 'a>(
        &mut self,
        messages: impl Iterator<Item = &'a mut Message<T>>,
    ) {
        self.flush();
        settle_runs(&mut self.indices, messages.map(Message::receipt_mut));
    }

    /// Settles what was collected, in the order it came.
    pub fn flush(&mut self) {
        settle_runs(&mut self.indices, self.done.iter_mut());
        self.done.clear();
    }
}

/// One pass: what is of one source chunk and in a row is settled together.
fn settle_runs<'a>(indices: &mut Vec<u32>, receipts: impl Iterator<Item = &'a mut Receipt>) {
    let mut run: Option<Run<'_>> = None;
    for receipt in receipts {
        if receipt.marks & (SETTLED | TRACED) != 0 {
            // One that is traced is settled by itself.
            if !receipt.is_settled() {
                end(run.take(), indices);
                receipt.settle_now(Outcome::Done);
            }
            continue;
        }
        if !run.as_ref().is_some_and(|run| run.goes_on_with(receipt)) {
            end(run.take(), indices);
        }
        receipt.marks |= SETTLED;
        let receipt = &*receipt;
        if run.is_none() {
            run = Run::start(receipt);
        }
        if let Some(run) = &mut run {
            run.count += 1;
            if run.delivered.port.is_some() {
                indices.push(receipt.index);
            }
        }
    }
    end(run, indices);
}

fn end(run: Option<Run<'_>>, indices: &mut Vec<u32>) {
    if let Some(run) = run {
        run.delivered.settle_done(run.count, indices);
        indices.clear();
    }
}

impl<'a> Run<'a> {
    /// A receipt that is a part of another's is settled by itself.
    fn start(receipt: &'a Receipt) -> Option<Self> {
        let header = receipt.header.as_ref()?;
        match &**header {
            Header::Delivered(delivered) => Some(Self {
                header,
                delivered,
                count: 0,
            }),
            Header::Joined(join) => {
                join.record(Outcome::Done, receipt.extra_attempts(), false);
                None
            }
        }
    }

    #[inline]
    fn goes_on_with(&self, receipt: &Receipt) -> bool {
        receipt
            .header
            .as_ref()
            .is_some_and(|header| Arc::ptr_eq(self.header, header))
    }
}

impl Delivered {
    fn settle_done(&self, count: u64, indices: &[u32]) {
        self.ledger.settled_done(count, self.took());
        if let Some((port, chunk)) = &self.port {
            port.settle_done(*chunk, indices);
        }
    }
}
