//! What kind of error it is, as traces name it: those of policies are known here.

use std::{borrow::Cow, error::Error};

/// Lets traces name the errors of policies, and all that these know: timeouts, HTTP status,
/// refusals.
pub fn name_errors() {
    towpath_core::name_errors(known);
}

fn known(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    let kind = towpath_policy::error_kind(error);
    (kind != "_OTHER").then_some(kind)
}

#[cfg(test)]
mod tests {
    //! Which error has which kind on a stage.

    use towpath_core::{BoxError, Failure, Panicked, error_kind};
    use towpath_policy::HttpStatus;

    use super::*;

    fn kind(error: impl Into<BoxError>) -> Cow<'static, str> {
        name_errors();
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
