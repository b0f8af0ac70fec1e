//! Operators without a concurrency of their own, fused into the worker beside them.
//!
//! A chain of them is one monomorphised function: one erased call per chunk, a few
//! instructions per operator and message.

mod fused;
mod receipts;
mod shape;

pub use fused::{Chunked, FusedInlet, FusedOutlet};
pub use receipts::{AcknowledgeNow, Configure, FlushWhen};
pub use shape::{Decode, Decoder, Filter, FilterMap, FlatMap, Inspect, Map, Pass, TryMap};

use std::sync::Arc;

use towpath_core::{
    BoxError, Failure, FailureRoute, Inlet, Message, Original, Outcome, Outlet, Reason, Receipt,
};

/// One operator, with those before it.
pub trait Operator: Send + Sync + 'static {
    /// What enters the chain.
    type In: Send + 'static;
    /// What leaves this operator.
    type Out: Send + 'static;

    /// Takes one payload through the chain; `out` gets what comes of it.
    fn apply(
        &self,
        input: Self::In,
        step: &mut Step<'_>,
        out: &mut impl FnMut(Self::Out, &mut Step<'_>),
    );

    /// Adds the names of the chain's operators, first to last.
    fn describe(&self, names: &mut Vec<&'static str>);

    /// Puts the chain between `inner` and the worker that takes from it.
    fn in_front(
        self: Arc<Self>,
        inner: Box<dyn Inlet<Message<Self::In>>>,
        failures: FailureRoute,
    ) -> Box<dyn Inlet<Message<Self::Out>>>
    where
        Self: Sized,
    {
        Box::new(FusedInlet::new(self, inner, failures))
    }

    /// Puts the chain between a worker that gives and `inner`.
    fn behind(
        self: Arc<Self>,
        inner: Box<dyn Outlet<Message<Self::Out>>>,
        failures: FailureRoute,
    ) -> Box<dyn Outlet<Message<Self::In>>>
    where
        Self: Sized,
    {
        Box::new(FusedOutlet::new(self, inner, failures))
    }
}

/// What an operator sees beside the payload: the receipt of the message at hand.
///
/// The receipt stays here while user code runs, so that a panic is a failure of
/// this message and of no other.
#[derive(Debug)]
pub struct Step<'a> {
    receipt: Option<Receipt>,
    failures: &'a mut FailureRoute,
}

impl<'a> Step<'a> {
    fn new(failures: &'a mut FailureRoute) -> Self {
        Self {
            receipt: None,
            failures,
        }
    }

    /// The receipt of the message at hand.
    pub fn receipt(&mut self) -> Option<&mut Receipt> {
        self.receipt.as_mut()
    }

    /// The message at hand failed in the operator of that name.
    pub fn fail(&mut self, operator: &'static str, error: impl Into<BoxError>) {
        self.fail_with(operator, Failure::from_error(error), None);
    }

    fn fail_with(&mut self, operator: &'static str, failure: Failure, payload: Option<Original>) {
        if let Some(receipt) = self.receipt.take() {
            let stage = operator.into();
            self.failures.fail_at(&stage, receipt, failure, payload);
        }
    }

    /// The message at hand is left out on purpose.
    pub fn skip(&mut self, reason: Reason) {
        if let Some(receipt) = self.receipt.take() {
            receipt.settle(Outcome::Drop(reason));
        }
    }
}
