//! Errors as users bring them, and how to find one along a chain.

use std::{any::Any, error::Error};

/// Any error that a user's code may return.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Finds the first error of type `E` along the chain of causes.
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// User code panicked; the message it worked on failed, the worker lives.
#[derive(Clone, Debug, thiserror::Error)]
#[error("panicked: {message}")]
pub struct Panicked {
    message: String,
}

impl Panicked {
    /// Reads the message out of what `catch_unwind` caught.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "takes what catch_unwind returns"
    )]
    pub fn from_payload(payload: Box<dyn Any + Send>) -> Self {
        let message = payload
            .downcast_ref::<&'static str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a value that is no text".to_owned());
        Self { message }
    }

    /// What the panic said.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// What kind of error it is, as traces and metrics name it: one of few words.
///
/// `_OTHER` is OpenTelemetry's word for a kind that nobody has named.
pub fn error_kind(error: &(dyn Error + 'static)) -> &'static str {
    if find::<Panicked>(error).is_some() {
        return "panic";
    }
    if let Some(io) = find::<std::io::Error>(error)
        && io.kind() == std::io::ErrorKind::TimedOut
    {
        return "timeout";
    }
    "_OTHER"
}

/// A source that failed for good: trying again would change nothing.
///
/// Any other error of a source is tried again with backoff; one with this in its chain
/// ends the source, and the pipeline once everything received before is settled.
#[derive(Debug, thiserror::Error)]
#[error("the source cannot go on")]
pub struct Permanent {
    source: BoxError,
}

impl Permanent {
    /// Says that `error` is for good.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self {
            source: error.into(),
        }
    }
}
