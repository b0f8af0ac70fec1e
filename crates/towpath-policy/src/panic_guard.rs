//! Panic guard: a panic of the service is an error of the call.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::error::Panicked;

/// Runs code of the service; where it is guarded, a panic becomes an error.
///
/// The service that panicked is not called again: each attempt has an instance of its own,
/// and an instance is dropped with its call or replaced before the next.
#[inline]
pub(crate) fn call<T>(guards: bool, f: impl FnOnce() -> T) -> Result<T, Panicked> {
    if guards {
        catch_unwind(AssertUnwindSafe(f)).map_err(|payload| panicked(&*payload))
    } else {
        Ok(f())
    }
}

#[cold]
fn panicked(payload: &(dyn Any + Send)) -> Panicked {
    let message = payload
        .downcast_ref::<&'static str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned());
    Panicked { message }
}
