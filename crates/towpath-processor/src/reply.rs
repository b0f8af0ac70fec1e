//! How the response of a service becomes messages: one, at most one, or several.

use std::collections::VecDeque;

use towpath_core::{Message, Outcome, Reason, Receipt};

/// Turns a response into the messages that go on.
pub trait Reply<R>: Send + Sync + 'static {
    /// What the messages hold.
    type Out: Send + 'static;

    /// Whether every response becomes exactly one message: there is nothing to count then.
    const ONE_TO_ONE: bool = false;

    /// Adds the messages of one response; the receipt goes with them or is settled.
    fn expand(&self, response: R, receipt: Receipt, out: &mut VecDeque<Message<Self::Out>>);
}

/// One message in, one message out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Single;

/// One message in, at most one out; `None` is dropped and counted by a reason.
#[derive(Clone, Debug)]
pub struct Maybe {
    pub(crate) reason: Reason,
}

/// One message in, several out; acknowledged when all of them are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts;

impl<U: Send + 'static> Reply<U> for Single {
    type Out = U;

    const ONE_TO_ONE: bool = true;

    #[inline]
    fn expand(&self, response: U, receipt: Receipt, out: &mut VecDeque<Message<U>>) {
        out.push_back(Message::new(response, receipt));
    }
}

impl<U: Send + 'static> Reply<Option<U>> for Maybe {
    type Out = U;

    fn expand(&self, response: Option<U>, receipt: Receipt, out: &mut VecDeque<Message<U>>) {
        match response {
            Some(payload) => out.push_back(Message::new(payload, receipt)),
            None => receipt.settle(Outcome::Drop(self.reason.clone())),
        }
    }
}

impl<U: Send + 'static> Reply<Vec<U>> for Parts {
    type Out = U;

    fn expand(&self, response: Vec<U>, receipt: Receipt, out: &mut VecDeque<Message<U>>) {
        let split = receipt.split();
        out.extend(
            response
                .into_iter()
                .map(|part| Message::new(part, split.part())),
        );
    }
}
