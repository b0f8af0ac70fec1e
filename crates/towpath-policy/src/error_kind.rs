//! What kind of error it is, in one of few words.

use std::{borrow::Cow, error::Error, io::ErrorKind as Kind};

use crate::{
    HttpStatus,
    class::chain,
    dedup::DedupStoreFailed,
    error::{
        BreakerOpen, BudgetSpent, DeadlinePassed, Duplicate, Interrupted, Panicked, RateLimited,
        TimedOut, Unavailable,
    },
};

/// The kind of an error that nobody has named, in OpenTelemetry's word.
const OTHER: &str = "_OTHER";

/// What kind of error it is, as OpenTelemetry's `error.type` wants it: one of few words.
///
/// | error | kind |
/// |---|---|
/// | [`TimedOut`] | `timeout` |
/// | [`DeadlinePassed`] | `deadline` |
/// | [`RateLimited`] | `rate_limited`; `rate_store_failed` |
/// | [`BreakerOpen`] | `circuit_breaker_open` |
/// | [`BudgetSpent`] | `retry_budget_spent` |
/// | [`Panicked`] | `panic` |
/// | [`Interrupted`] | `interrupted` |
/// | [`Duplicate`], [`DedupStoreFailed`] | `duplicate`, `dedup_store_failed` |
/// | [`HttpStatus`] | the status: `429` |
/// | [`io::Error`](std::io::Error) | its kind: `connection_refused`, `timeout` |
/// | tower's, with the feature `tower` | `timeout`, `overloaded`, `closed` |
/// | [`Exhausted`](crate::Exhausted), [`RetryAfter`](crate::RetryAfter), your own | that of their cause |
/// | [`Unavailable`] | that of its cause; `unavailable` |
/// | others | `_OTHER` |
///
/// Of several that are known in a chain of causes, the outermost counts.
///
/// ```
/// use towpath_policy::{HttpStatus, RetryAfter, error_kind};
///
/// let busy = RetryAfter::new(std::time::Duration::from_secs(3), HttpStatus(429));
/// assert_eq!(error_kind(&busy), "429");
/// ```
pub fn error_kind(error: &(dyn Error + 'static)) -> Cow<'static, str> {
    if let Some(kind) = chain(error).find_map(known) {
        return kind;
    }
    let unavailable = chain(error).any(<dyn Error>::is::<Unavailable>);
    Cow::Borrowed(if unavailable { "unavailable" } else { OTHER })
}

/// The kind of one error of a chain.
fn known(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    if let Some(HttpStatus(status)) = error.downcast_ref() {
        // Only what HTTP has: a number that is anything would be no kind.
        return Some(match status {
            100..=599 => Cow::Owned(status.to_string()),
            _ => Cow::Borrowed(OTHER),
        });
    }
    let io = error.downcast_ref::<std::io::Error>();
    io.and_then(|io| of_io(io.kind()))
        .or_else(|| own(error))
        .or_else(|| of_tower(error))
        .map(Cow::Borrowed)
}

fn own(error: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(limited) = error.downcast_ref::<RateLimited>() {
        return Some(match limited {
            RateLimited::StoreFailed => "rate_store_failed",
            _ => "rate_limited",
        });
    }
    let kinds = [
        (error.is::<TimedOut>(), "timeout"),
        (error.is::<DeadlinePassed>(), "deadline"),
        (error.is::<BreakerOpen>(), "circuit_breaker_open"),
        (error.is::<BudgetSpent>(), "retry_budget_spent"),
        (error.is::<Panicked>(), "panic"),
        (error.is::<Interrupted>(), "interrupted"),
        (error.is::<Duplicate>(), "duplicate"),
        (error.is::<DedupStoreFailed>(), "dedup_store_failed"),
    ];
    kinds.into_iter().find_map(|(is, kind)| is.then_some(kind))
}

fn of_io(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::TimedOut => "timeout",
        Kind::ConnectionRefused => "connection_refused",
        Kind::ConnectionReset => "connection_reset",
        Kind::ConnectionAborted => "connection_aborted",
        Kind::NotConnected => "not_connected",
        Kind::HostUnreachable => "host_unreachable",
        Kind::NetworkUnreachable => "network_unreachable",
        Kind::NetworkDown => "network_down",
        Kind::AddrInUse => "address_in_use",
        Kind::AddrNotAvailable => "address_not_available",
        Kind::BrokenPipe => "broken_pipe",
        Kind::UnexpectedEof => "unexpected_eof",
        Kind::Interrupted => "interrupted",
        Kind::WouldBlock => "would_block",
        Kind::ResourceBusy => "resource_busy",
        Kind::NotFound => "not_found",
        Kind::PermissionDenied => "permission_denied",
        Kind::AlreadyExists => "already_exists",
        Kind::InvalidInput => "invalid_input",
        Kind::InvalidData => "invalid_data",
        Kind::Unsupported => "unsupported",
        Kind::StorageFull => "storage_full",
        Kind::OutOfMemory => "out_of_memory",
        _ => return None,
    })
}

#[cfg(any(test, feature = "tower"))]
fn of_tower(error: &(dyn Error + 'static)) -> Option<&'static str> {
    use tower::{
        buffer::error::{Closed, ServiceError},
        load_shed::error::Overloaded,
        timeout::error::Elapsed,
    };
    if error.is::<Elapsed>() {
        return Some("timeout");
    }
    if error.is::<Overloaded>() {
        return Some("overloaded");
    }
    // A buffer's service has failed before: what it died of is no answer of this call's.
    let gone = error.is::<Closed>() || error.is::<ServiceError>();
    gone.then_some("closed")
}

#[cfg(not(any(test, feature = "tower")))]
fn of_tower(_: &(dyn Error + 'static)) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    //! Which error has which kind.

    use std::{io, time::Duration};

    use super::*;
    use crate::{BoxError, Exhausted, FallbackFailed, RetryAfter};

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Debug, thiserror::Error)]
    #[error("the shop does not answer")]
    struct Wrapped(#[source] BoxError);

    fn kind(error: impl Into<BoxError>) -> String {
        error_kind(&*error.into()).into_owned()
    }

    fn exhausted(source: impl Into<BoxError>) -> Exhausted {
        let source = source.into();
        Exhausted {
            attempts: 3,
            source,
        }
    }

    #[test]
    fn what_policies_say_has_its_word() {
        assert_eq!(kind(TimedOut { limit: SECOND }), "timeout");
        assert_eq!(kind(DeadlinePassed::unbegun()), "deadline");
        let retry_after = SECOND;
        assert_eq!(kind(BreakerOpen { retry_after }), "circuit_breaker_open");
        assert_eq!(kind(RateLimited::NoBudget { retry_after }), "rate_limited");
        assert_eq!(kind(RateLimited::StoreFailed), "rate_store_failed");
        let message = String::new();
        assert_eq!(kind(Panicked { message }), "panic");
        assert_eq!(kind(Interrupted { source: None }), "interrupted");
        let key = crate::Key::from("order-1");
        assert_eq!(kind(Duplicate { key }), "duplicate");
    }

    #[test]
    fn attempts_that_are_exhausted_are_of_the_kind_of_the_last() {
        let last = TimedOut { limit: SECOND };
        assert_eq!(kind(exhausted(last.clone())), "timeout");
        let failed = FallbackFailed {
            failure: "no".into(),
            source: exhausted(last).into(),
        };
        assert_eq!(kind(failed), "timeout");
        assert_eq!(kind(exhausted("no")), "_OTHER");
    }

    #[test]
    fn a_budget_that_is_spent_and_a_deadline_are_why_there_was_no_more_attempt() {
        let source = || HttpStatus(503).into();
        let spent = BudgetSpent {
            attempts: 1,
            source: source(),
        };
        assert_eq!(kind(spent), "retry_budget_spent");
        let source = Some(source());
        assert_eq!(kind(DeadlinePassed { source }), "deadline");
    }

    #[test]
    fn a_service_that_is_unavailable_is_of_the_kind_of_what_it_said() {
        let unavailable = |source: BoxError| Unavailable {
            retry_after: SECOND,
            source,
        };
        assert_eq!(kind(unavailable(HttpStatus(503).into())), "503");
        assert_eq!(kind(unavailable("down".into())), "unavailable");
    }

    #[test]
    fn a_status_of_http_is_its_own_kind_and_no_other_number_is() {
        let busy = Wrapped(RetryAfter::new(SECOND, HttpStatus(429)).into());
        assert_eq!(kind(busy), "429");
        for odd in [0, 99, 600, u16::MAX] {
            assert_eq!(kind(HttpStatus(odd)), "_OTHER", "{odd}");
        }
    }

    #[test]
    fn errors_of_input_and_output_are_of_their_kind_wherever_they_are_in_the_chain() {
        let refused = || io::Error::from(Kind::ConnectionRefused);
        assert_eq!(kind(refused()), "connection_refused");
        assert_eq!(kind(Wrapped(refused().into())), "connection_refused");
        assert_eq!(kind(io::Error::other(refused())), "connection_refused");
        assert_eq!(kind(io::Error::from(Kind::TimedOut)), "timeout");
        assert_eq!(kind(io::Error::other("what?")), "_OTHER");
    }

    #[test]
    fn what_nobody_has_named_is_other() {
        assert_eq!(kind("what?"), "_OTHER");
        assert_eq!(kind(Wrapped("what?".into())), "_OTHER");
    }

    #[test]
    fn towers_own_errors_are_known() {
        use tower::{load_shed::error::Overloaded, timeout::error::Elapsed};
        assert_eq!(kind(Elapsed::new()), "timeout");
        assert_eq!(kind(Overloaded::new()), "overloaded");
    }
}
