//! A payload on its way, with the receipt that ties it to its delivery.

use crate::{BoxError, Cause, Origin, Outcome, Reason, Receipt, StageName};

/// A typed payload with its receipt.
///
/// A pipeline that ends in a stream hands these out: settle each, or drop it
/// to give it back to its source.
#[derive(Debug)]
#[must_use = "dropping a message gives it back to its source"]
pub struct Message<T> {
    payload: T,
    receipt: Receipt,
}

impl<T> Message<T> {
    /// Ties a payload to a receipt.
    #[inline]
    pub fn new(payload: T, receipt: Receipt) -> Self {
        Self { payload, receipt }
    }

    /// The payload.
    #[inline]
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// The receipt that ties it to its delivery.
    #[inline]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    #[inline]
    pub(crate) fn receipt_mut(&mut self) -> &mut Receipt {
        &mut self.receipt
    }

    /// Where the message came from.
    pub fn origin(&self) -> Origin {
        self.receipt.origin()
    }

    /// Whether the message closes the batch it gets into.
    #[inline]
    pub fn is_flush(&self) -> bool {
        self.receipt.is_flush()
    }

    /// The payload and the receipt, apart.
    #[inline]
    pub fn into_parts(self) -> (T, Receipt) {
        (self.payload, self.receipt)
    }

    /// All side effects are done; gives the payload out.
    pub fn done(self) -> T {
        self.receipt.settle(Outcome::Done);
        self.payload
    }

    /// Gives the message back to its source, to be delivered again.
    pub fn retry(self, after: std::time::Duration) {
        self.receipt.settle(Outcome::retry_after(after));
    }

    /// The message will never succeed.
    pub fn reject(self, stage: impl Into<StageName>, error: impl Into<BoxError>) {
        let cause = Cause::new(stage.into(), error);
        self.receipt.settle(Outcome::Reject(cause));
    }

    /// Leaves the message out on purpose.
    pub fn skip(self, reason: impl Into<Reason>) {
        self.receipt.settle(Outcome::Drop(reason.into()));
    }
}
