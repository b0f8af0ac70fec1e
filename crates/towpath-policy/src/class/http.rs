//! The classes of HTTP status codes.

use std::fmt;

use super::Class;

/// An answer with an HTTP status that is an error, for classifiers to find.
///
/// With a `Retry-After` header, put it into a [`RetryAfter`](crate::RetryAfter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpStatus(pub u16);

pub(super) fn class(status: u16) -> Class {
    match status {
        429 | 503 | 529 => Class::OVERLOAD,
        501 | 505 => Class::Permanent,
        408 | 425 | 500..=599 => Class::TRANSIENT,
        _ => Class::Permanent,
    }
}

impl fmt::Display for HttpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP status {}", self.0)
    }
}

impl std::error::Error for HttpStatus {}
