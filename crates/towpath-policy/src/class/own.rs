//! The classes of the errors that policies add.

use std::{error::Error, time::Duration};

use super::{Class, chain};
use crate::error::{
    BreakerOpen, DeadlinePassed, Duplicate, Panicked, RateLimited, RetryAfter, TimedOut,
    Unavailable,
};

/// Whether an error was made by a limiter or a breaker on this side: the service was not called.
///
/// Such a call costs the backend nothing, so another attempt needs no retry budget.
pub fn is_local(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| error.is::<BreakerOpen>() || error.is::<RateLimited>())
}

/// The class of an error of ours; `None` for others, and for those that are as their cause is.
pub(super) fn class(error: &(dyn Error + 'static)) -> Option<Class> {
    if error.is::<TimedOut>() {
        return Some(Class::TRANSIENT);
    }
    if let Some(open) = error.downcast_ref::<BreakerOpen>() {
        return Some(Class::TRANSIENT.or_after(open.retry_after));
    }
    if let Some(down) = error.downcast_ref::<Unavailable>() {
        return Some(Class::TRANSIENT.or_after(down.retry_after));
    }
    if let Some(limited) = error.downcast_ref::<RateLimited>() {
        return Some(of_limited(limited));
    }
    let permanent =
        error.is::<Panicked>() || error.is::<DeadlinePassed>() || error.is::<Duplicate>();
    permanent.then_some(Class::Permanent)
}

fn of_limited(limited: &RateLimited) -> Class {
    match limited {
        RateLimited::NoBudget { retry_after } => Class::TRANSIENT.or_after(*retry_after),
        RateLimited::StoreFailed => Class::TRANSIENT,
        RateLimited::TooHeavy { .. } => Class::Permanent,
    }
}

/// The delay that an error asks for.
pub(super) fn asked_delay(error: &(dyn Error + 'static)) -> Option<Duration> {
    chain(error).find_map(|error| error.downcast_ref().map(RetryAfter::delay))
}
