//! Tests of the classes of errors.

use std::{
    error::Error,
    fmt,
    future::{Ready, ready},
    io,
    task::{Context, Poll},
    time::Duration,
};

use proptest::prelude::*;
use tower::{Service, ServiceExt, buffer::Buffer};

use super::{Class, Classify, HttpStatus, Standard, classify_fn, is_local};
use crate::error::{
    BoxError, BreakerOpen, DeadlinePassed, Duplicate, Exhausted, Panicked, RateLimited, RetryAfter,
    TimedOut, Unavailable,
};

const DELAY: Duration = Duration::from_secs(30);

/// An error that says nothing, with a cause.
#[derive(Debug, thiserror::Error)]
#[error("wrapped")]
struct Wrapped(#[source] BoxError);

#[derive(Debug, thiserror::Error)]
#[error("unknown")]
struct Unknown;

fn wrapped(error: impl Into<BoxError>) -> Wrapped {
    Wrapped(error.into())
}

fn standard(error: &(dyn Error + 'static)) -> Class {
    Standard::new().classify(error)
}

#[test]
fn broken_connections_are_transient_and_bad_requests_are_permanent() {
    use io::ErrorKind as Kind;
    let transient = [
        Kind::ConnectionRefused,
        Kind::ConnectionReset,
        Kind::ConnectionAborted,
        Kind::TimedOut,
        Kind::Interrupted,
        Kind::WouldBlock,
        Kind::BrokenPipe,
        Kind::UnexpectedEof,
        Kind::HostUnreachable,
        Kind::AddrNotAvailable,
    ];
    for kind in transient {
        assert_eq!(standard(&io::Error::from(kind)), Class::TRANSIENT, "{kind}");
    }
    let permanent = [
        Kind::NotFound,
        Kind::PermissionDenied,
        Kind::AlreadyExists,
        Kind::InvalidInput,
        Kind::InvalidData,
        Kind::Unsupported,
    ];
    for kind in permanent {
        assert_eq!(standard(&io::Error::from(kind)), Class::Permanent, "{kind}");
    }
    assert_eq!(Class::of_io_kind(Kind::Other), None);
}

#[test]
fn what_an_io_error_is_made_of_counts_when_its_kind_says_nothing() {
    let error = io::Error::other(HttpStatus(404));
    assert_eq!(standard(&error), Class::Permanent);
    let error = io::Error::other(wrapped(RetryAfter::new(DELAY, HttpStatus(429))));
    assert_eq!(standard(&error), Class::Overload { after: Some(DELAY) });
    assert_eq!(standard(&io::Error::other("odd")), Class::TRANSIENT);
}

#[test]
fn http_statuses_have_classes() {
    for status in [429, 503, 529] {
        assert_eq!(Class::of_http_status(status), Class::OVERLOAD, "{status}");
    }
    for status in [408, 425, 500, 502, 504, 507, 520] {
        assert_eq!(Class::of_http_status(status), Class::TRANSIENT, "{status}");
    }
    for status in [
        0,
        200,
        301,
        400,
        401,
        403,
        404,
        409,
        413,
        422,
        451,
        501,
        505,
        600,
        u16::MAX,
    ] {
        assert_eq!(Class::of_http_status(status), Class::Permanent, "{status}");
    }
    assert_eq!(standard(&wrapped(HttpStatus(502))), Class::TRANSIENT);
}

#[test]
fn the_errors_of_the_policies_have_classes() {
    assert_eq!(standard(&TimedOut { limit: DELAY }), Class::TRANSIENT);
    let panicked = Panicked {
        message: "no".into(),
    };
    assert_eq!(standard(&panicked), Class::Permanent);
    let late = DeadlinePassed {
        source: Some(HttpStatus(503).into()),
    };
    assert_eq!(standard(&late), Class::Permanent);
    assert_eq!(standard(&Duplicate { key: 1_u64.into() }), Class::Permanent);
    let heavy = RateLimited::TooHeavy {
        weight: 2,
        burst: 1,
    };
    assert_eq!(standard(&heavy), Class::Permanent);
    assert_eq!(standard(&RateLimited::StoreFailed), Class::TRANSIENT);
}

#[test]
fn exhausted_attempts_are_as_the_last_of_them() {
    for (status, class) in [(404, Class::Permanent), (503, Class::OVERLOAD)] {
        let error = Exhausted {
            attempts: 3,
            source: HttpStatus(status).into(),
        };
        assert_eq!(standard(&error), class);
    }
}

#[test]
fn local_rejections_are_local_wherever_they_are_and_say_when_to_come_back() {
    let open = BreakerOpen { retry_after: DELAY };
    let limited = RateLimited::NoBudget { retry_after: DELAY };
    let waiting = Class::Transient { after: Some(DELAY) };
    assert_eq!(standard(&open), waiting);
    let down = Unavailable {
        retry_after: DELAY,
        source: HttpStatus(503).into(),
    };
    assert_eq!(standard(&down), waiting);
    assert!(!is_local(&down), "the call was made");
    assert_eq!(standard(&limited), waiting);
    assert!(is_local(&open) && is_local(&wrapped(limited)));
    assert!(is_local(&io::Error::other(RateLimited::StoreFailed)));
    for other in [wrapped(HttpStatus(503)), wrapped(TimedOut { limit: DELAY })] {
        assert!(!is_local(&other));
    }
}

#[test]
fn errors_of_tower_have_classes() {
    use tower::{load_shed::error::Overloaded, timeout::error::Elapsed};
    assert_eq!(standard(&Elapsed::new()), Class::TRANSIENT);
    assert_eq!(standard(&wrapped(Overloaded::new())), Class::OVERLOAD);
}

#[tokio::test]
async fn a_buffer_whose_worker_is_gone_is_gone_for_good() {
    let (mut buffer, worker) = Buffer::pair(NeverReady, 1);
    drop(worker);
    let closed = buffer.ready().await.map(drop).unwrap_err();
    assert!(closed.is::<tower::buffer::error::Closed>(), "{closed}");
    assert_eq!(standard(&*closed), Class::Permanent);
}

#[tokio::test]
async fn a_buffer_whose_service_failed_is_gone_for_good() {
    let (buffer, worker) = Buffer::pair(NeverReady, 1);
    let (result, ()) = tokio::join!(buffer.oneshot(()), worker);
    let failed = result.unwrap_err();
    assert!(
        failed.is::<tower::buffer::error::ServiceError>(),
        "{failed}"
    );
    assert_eq!(standard(&*failed), Class::Permanent);
}

/// A service that fails to become ready.
struct NeverReady;

impl Service<()> for NeverReady {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionReset).into()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(()))
    }
}

#[test]
fn a_delay_that_an_error_asks_for_is_found_anywhere_and_keeps_the_class() {
    let after = Some(DELAY);
    let asked = |status| wrapped(RetryAfter::new(DELAY, HttpStatus(status)));
    assert_eq!(standard(&asked(429)), Class::Overload { after });
    assert_eq!(standard(&asked(500)), Class::Transient { after });
    assert_eq!(standard(&asked(400)), Class::Permanent);
    assert_eq!(
        standard(&RetryAfter::new(DELAY, Unknown)),
        Class::Transient { after }
    );
}

#[test]
fn an_unknown_error_is_transient() {
    assert_eq!(standard(&Unknown), Class::TRANSIENT);
    assert_eq!(standard(&wrapped(wrapped(Unknown))), Class::TRANSIENT);
}

#[test]
fn the_outermost_of_several_known_errors_counts() {
    let error = io::Error::new(io::ErrorKind::InvalidData, HttpStatus(503));
    assert_eq!(standard(&error), Class::Permanent);
}

#[test]
fn own_rules_come_first_and_the_first_of_them_that_answers_counts() {
    let standard = Standard::new()
        .permanent::<Unknown>()
        .transient::<Panicked>()
        .overload::<TimedOut>()
        .http_status(404, Class::TRANSIENT)
        .when(|error: &io::Error| {
            (error.kind() == io::ErrorKind::StorageFull).then_some(Class::OVERLOAD)
        })
        .transient::<Unknown>();
    let class = |error: &(dyn Error + 'static)| standard.classify(error);
    assert_eq!(class(&wrapped(Unknown)), Class::Permanent);
    let message = String::new();
    assert_eq!(class(&Panicked { message }), Class::TRANSIENT);
    assert_eq!(class(&TimedOut { limit: DELAY }), Class::OVERLOAD);
    assert_eq!(class(&HttpStatus(404)), Class::TRANSIENT);
    assert_eq!(class(&HttpStatus(403)), Class::Permanent);
    assert_eq!(
        class(&io::Error::from(io::ErrorKind::StorageFull)),
        Class::OVERLOAD
    );
    assert_eq!(
        class(&io::Error::from(io::ErrorKind::NotFound)),
        Class::Permanent
    );
    let late = RetryAfter::new(DELAY, HttpStatus(404));
    assert_eq!(class(&late), Class::Transient { after: Some(DELAY) });
}

#[test]
fn a_rule_about_a_cause_wins_over_what_is_known_about_the_error_around_it() {
    let error = DeadlinePassed {
        source: Some(Unknown.into()),
    };
    let standard = Standard::new().overload::<Unknown>();
    assert_eq!(standard.classify(&error), Class::OVERLOAD);
}

#[test]
fn a_delay_of_a_rule_wins_over_one_that_the_error_asks_for() {
    let after = Some(Duration::from_secs(1));
    let standard = Standard::new().when(move |_: &Unknown| Some(Class::Overload { after }));
    let error = RetryAfter::new(DELAY, Unknown);
    assert_eq!(standard.classify(&error), Class::Overload { after });
}

#[test]
fn a_closure_is_a_classifier() {
    fn class(classifier: &impl Classify, error: &(dyn Error + 'static)) -> Class {
        classifier.classify(error)
    }
    let by_name = classify_fn(|error| Class::of_http_status(error.is::<Unknown>().into()));
    assert_eq!(class(&by_name, &Unknown), Class::Permanent);
    let plain = |_: &(dyn Error + 'static)| Class::OVERLOAD;
    assert_eq!(class(&plain, &Unknown), Class::OVERLOAD);
}

#[test]
fn an_error_that_is_its_own_cause_hangs_nobody() {
    #[derive(Debug)]
    struct Circle;
    impl fmt::Display for Circle {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("circle")
        }
    }
    impl Error for Circle {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(self)
        }
    }
    assert_eq!(standard(&Circle), Class::TRANSIENT);
    assert!(!is_local(&Circle));
}

proptest! {
    #[test]
    fn every_status_has_a_class_and_only_three_slow_everybody_down(status: u16) {
        let overload = matches!(Class::of_http_status(status), Class::Overload { .. });
        prop_assert_eq!(overload, [429, 503, 529].contains(&status));
    }
}
