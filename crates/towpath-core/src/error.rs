//! Errors as users bring them, and how to find one along a chain.

use std::{any::Any, borrow::Cow, error::Error, sync::OnceLock};

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

/// Names errors that this crate does not know; `None` for those it does not know either.
pub type ErrorNames = fn(&(dyn Error + 'static)) -> Option<Cow<'static, str>>;

static NAMES: OnceLock<ErrorNames> = OnceLock::new();

/// Asks `names` too what kind an error is, in this process. Only the first call counts: the
/// engine makes it, with the errors of its policies, as a pipeline starts.
pub fn name_errors(names: ErrorNames) {
    NAMES.get_or_init(|| names);
}

/// What kind of error it is, as traces name it: one of few words.
///
/// `_OTHER` is OpenTelemetry's word for a kind that nobody has named.
pub fn error_kind(error: &(dyn Error + 'static)) -> Cow<'static, str> {
    if find::<Panicked>(error).is_some() {
        return Cow::Borrowed("panic");
    }
    let named = NAMES.get().and_then(|names| names(error));
    named.unwrap_or(Cow::Borrowed("_OTHER"))
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
