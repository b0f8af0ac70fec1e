//! What kind of error it is, as traces and metrics name it.

use std::{borrow::Cow, error::Error};

/// The kind of an error that policies or the engine know; `_OTHER` for the others.
#[cold]
pub(crate) fn error_kind(error: &(dyn Error + 'static)) -> Cow<'static, str> {
    let kind = towpath_policy::error_kind(error);
    if kind == "_OTHER" {
        return Cow::Borrowed(towpath_core::error_kind(error));
    }
    kind
}

#[cfg(test)]
mod tests {
    //! Which error has which kind on a stage.

    use towpath_core::{BoxError, Failure, Panicked};
    use towpath_policy::HttpStatus;

    use super::*;

    fn kind(error: impl Into<BoxError>) -> Cow<'static, str> {
        error_kind(&*error.into())
    }

    #[test]
    fn a_panic_that_the_worker_caught_is_known_too() {
        let caught = std::panic::catch_unwind(|| panic!("no")).unwrap_err();
        assert_eq!(kind(Panicked::from_payload(caught)), "panic");
    }

    #[test]
    fn what_a_handler_decides_is_of_the_kind_of_its_reason() {
        assert_eq!(kind(Failure::retry(HttpStatus(503))), "503");
        assert_eq!(kind(Failure::reject("bad row")), "_OTHER");
    }
}
