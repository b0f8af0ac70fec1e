//! The classes of tower's own errors.

use std::error::Error;

use tower::{
    buffer::error::{Closed, ServiceError},
    load_shed::error::Overloaded,
    timeout::error::Elapsed,
};

use super::Class;

/// The class of an error of tower; `None` for others.
pub(super) fn class(error: &(dyn Error + 'static)) -> Option<Class> {
    if error.is::<Elapsed>() {
        return Some(Class::TRANSIENT);
    }
    if error.is::<Overloaded>() {
        return Some(Class::OVERLOAD);
    }
    // A buffer whose worker is gone stays without one, whatever its service died of.
    let gone = error.is::<Closed>() || error.is::<ServiceError>();
    gone.then_some(Class::Permanent)
}
