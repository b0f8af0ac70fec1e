//! No order: what is first finished leaves first.

use std::collections::VecDeque;

use towpath_core::{FailureRoute, Message, Receipt};

use super::{Discipline, Order};

/// Results leave as they come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unordered;

impl<T, R> Discipline<T, R> for Unordered {
    type Ticket = ();

    #[inline]
    fn has_next(&mut self, inbox: &mut VecDeque<Message<T>>, _: &mut FailureRoute) -> bool {
        !inbox.is_empty()
    }

    #[inline]
    fn next(&mut self, inbox: &mut VecDeque<Message<T>>) -> Option<(Message<T>, ())> {
        inbox.pop_front().map(|message| (message, ()))
    }

    #[inline]
    fn finish(
        &mut self,
        (): (),
        response: Option<(R, Receipt)>,
        _: &mut FailureRoute,
        emit: &mut impl FnMut(R, Receipt),
    ) {
        if let Some((response, receipt)) = response {
            emit(response, receipt);
        }
    }

    #[inline]
    fn waiting(&self) -> usize {
        0
    }
}

impl<T, R> Order<T, R> for Unordered {
    type Discipline = Self;

    fn discipline(&self) -> Self {
        Self
    }

    fn spreads(&self) -> bool {
        true
    }

    fn word(&self) -> &'static str {
        "unordered"
    }
}
