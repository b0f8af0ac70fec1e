//! The messages of one call, and the context that they have together.

use towpath_core::{BoxError, FailureRoute, Message, Receipt, StageName};
use towpath_policy::{DeadlinePassed, context::CallContext, find};

use crate::{
    in_time::InTime,
    slots::Held,
    traced::{self, Traced},
};

/// Messages that a service is called for together.
pub(super) struct Chunk<T> {
    pub(super) payloads: Vec<T>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) context: CallContext,
}

impl<T> Chunk<T> {
    pub(super) fn of(messages: impl Iterator<Item = Message<T>>) -> Self {
        let (payloads, receipts) = messages.map(Message::into_parts).unzip();
        Self {
            payloads,
            receipts,
            context: CallContext::default(),
        }
    }

    /// Those that are not too late, with their context: the attempt of the one that was tried
    /// least, so that a handler that looks gives none up too soon, and the earliest deadline.
    /// One that was delivered before makes the chunk so: none may be taken for done.
    pub(super) fn in_time(
        messages: impl Iterator<Item = Message<T>>,
        in_time: InTime,
        failures: &mut FailureRoute,
    ) -> Self {
        let (mut payloads, mut receipts) = (Vec::new(), Vec::new());
        let mut all: Option<CallContext> = None;
        for message in messages {
            let (payload, receipt) = message.into_parts();
            match in_time.begin(&receipt) {
                Ok(context) => {
                    all = Some(all.map_or(context, |all| together(all, context)));
                    payloads.push(payload);
                    receipts.push(receipt);
                }
                Err(late) => failures.fail(receipt, late),
            }
        }
        Self {
            payloads,
            receipts,
            context: all.unwrap_or_default(),
        }
    }
}

fn together(all: CallContext, one: CallContext) -> CallContext {
    let mut both = all.until(one.deadline);
    both.attempt = all.attempt.min(one.attempt);
    both.redelivered(all.redelivered || one.redelivered)
}

/// Whether the call ended because the time of some of its messages was over: that is nothing
/// against the others.
pub(super) fn cut_short(receipts: &[Receipt], error: &BoxError) -> bool {
    find::<DeadlinePassed>(&**error).is_some() && receipts.iter().any(is_late)
}

pub(super) fn is_late(receipt: &Receipt) -> bool {
    receipt.time_left().is_some_and(|left| left.is_zero())
}

impl Held for Vec<Receipt> {
    fn tried_again(&mut self, extra: u32) {
        for receipt in self {
            receipt.add_attempts(extra);
        }
    }

    fn begin_trace(&self, stage: &StageName) -> Option<Traced> {
        traced::begin_all(self, stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_was_delivered_before_if_one_of_its_messages_was() {
        let (new, again) = (CallContext::of_attempt(1), CallContext::of_attempt(3));
        let again = again.redelivered(true);
        for both in [together(new, again), together(again, new)] {
            assert_eq!(both, CallContext::of_attempt(1).redelivered(true));
        }
        assert!(!together(new, new).redelivered);
    }
}
