//! The end of a call: its results go on, or its failure is settled.

use std::collections::VecDeque;

use towpath_core::{BoxError, FailureRoute, Message, Receipt, StageName, StageStats};

use crate::{
    Discipline, Reply,
    policy::read_error,
    slots::Held,
    traced::{self, Traced},
};

/// What a call in flight is held for.
pub(super) type InFlight<D, T, R> = (Receipt, <D as Discipline<T, R>>::Ticket);

/// Hands on what a call came to, or settles its failure.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "saves copies of payloads: 60 instructions a message"
)]
pub(super) fn finish<T, R, E, X, D>(
    (receipt, ticket): InFlight<D, T, R>,
    result: Result<R, E>,
    discipline: &mut D,
    reply: &X,
    failures: &mut FailureRoute,
    done: &mut VecDeque<Message<X::Out>>,
    stats: &StageStats,
) where
    X: Reply<R>,
    D: Discipline<T, R>,
    E: Into<BoxError>,
{
    let response = match result {
        Ok(response) => Some((response, receipt)),
        Err(error) => {
            let error = read_error(error.into());
            traced::end_failed(&receipt, &error);
            failures.fail(receipt, error);
            None
        }
    };
    discipline.finish(ticket, response, failures, &mut |response, receipt| {
        expand(reply, response, receipt, done, stats);
    });
}

/// Makes the messages of a response, and counts those that are more or fewer than one.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "saves copies of payloads: 60 instructions a message"
)]
pub(super) fn expand<R, X: Reply<R>>(
    reply: &X,
    response: R,
    receipt: Receipt,
    done: &mut VecDeque<Message<X::Out>>,
    stats: &StageStats,
) {
    let before = done.len();
    reply.expand(response, receipt, done);
    if !X::ONE_TO_ONE {
        match done.len() - before {
            0 => stats.add_dropped(1),
            1 => {}
            parts => stats.add_added(parts - 1),
        }
    }
}

impl<K> Held for (Receipt, K) {
    fn tried_again(&mut self, extra: u32) {
        self.0.add_attempts(extra);
    }

    fn begin_trace(&self, stage: &StageName) -> Option<Traced> {
        traced::begin(&self.0, None, stage)
    }

    fn end_trace(&self) {
        traced::end(&self.0);
    }
}
