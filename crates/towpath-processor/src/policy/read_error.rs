//! What the errors of policies mean for a message.

use towpath_core::{BoxError, Failure};
use towpath_policy::{DedupStoreFailed, Duplicate, Interrupted, Unavailable, find};

/// Reads an error of a call: some of those that policies make say more than *reject*.
///
/// A service that is down, a store that does not say whether the message is a duplicate and
/// a pipeline that stops have nothing against the message: it goes back to its source. A
/// duplicate is dropped.
#[cold]
pub(crate) fn read_error(error: BoxError) -> BoxError {
    if error.is::<Failure>() {
        return error;
    }
    if let Some(unavailable) = find::<Unavailable>(&*error) {
        let after = unavailable.retry_after;
        return Failure::retry(error).after(after).into();
    }
    if find::<Interrupted>(&*error).is_some() || find::<DedupStoreFailed>(&*error).is_some() {
        return Failure::retry(error).into();
    }
    if find::<Duplicate>(&*error).is_some() {
        return Failure::drop("duplicate").into();
    }
    error
}
