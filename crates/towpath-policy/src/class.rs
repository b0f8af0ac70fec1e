//! Classes of errors: what is worth another attempt.

use std::{error::Error, io, time::Duration};

mod http;
mod io_kind;
mod own;
mod standard;
#[cfg(test)]
mod tests;
// Tests always know tower's errors: it is a dependency of theirs.
#[cfg(any(test, feature = "tower"))]
mod tower;

pub use http::HttpStatus;
pub use own::is_local;
pub use standard::Standard;

/// What an error says about another attempt, and about the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Another attempt may succeed. The backend failed.
    Transient {
        /// How long the error asks to wait before it.
        after: Option<Duration>,
    },
    /// Another attempt would fail in the same way. The backend answered, so it is well.
    Permanent,
    /// The backend has too much to do: another attempt may succeed, and everybody slows down.
    Overload {
        /// How long the error asks to leave the backend alone.
        after: Option<Duration>,
    },
}

/// Says to which class an error belongs.
///
/// [`Standard`] is the one that is used where nothing else is said. A closure is one too;
/// [`classify_fn`] spares naming the type of its argument.
pub trait Classify: Send + Sync + 'static {
    /// The class of an error; its causes are found by [`Error::source`].
    fn classify(&self, error: &(dyn Error + 'static)) -> Class;
}

/// Makes a closure a classifier.
///
/// ```
/// use towpath_policy::{Class, classify_fn, find};
///
/// # #[derive(Debug, thiserror::Error)] #[error("broken")] struct Broken;
/// let classifier = classify_fn(|error| match find::<Broken>(error) {
///     Some(_) => Class::Permanent,
///     None => Class::TRANSIENT,
/// });
/// # use towpath_policy::Classify;
/// # assert_eq!(classifier.classify(&Broken), Class::Permanent);
/// ```
pub fn classify_fn<F>(classify: F) -> F
where
    F: Fn(&(dyn Error + 'static)) -> Class + Send + Sync + 'static,
{
    classify
}

impl<F> Classify for F
where
    F: Fn(&(dyn Error + 'static)) -> Class + Send + Sync + 'static,
{
    fn classify(&self, error: &(dyn Error + 'static)) -> Class {
        self(error)
    }
}

// === impl Class ===

impl Class {
    /// Transient, and the error asks for no delay.
    pub const TRANSIENT: Self = Self::Transient { after: None };
    /// Overload, and the error asks for no delay.
    pub const OVERLOAD: Self = Self::Overload { after: None };

    /// How long the error asks to wait.
    pub fn after(self) -> Option<Duration> {
        match self {
            Self::Transient { after } | Self::Overload { after } => after,
            Self::Permanent => None,
        }
    }

    /// Says how long to wait, unless that is known; what is permanent stays as it is.
    #[must_use]
    pub fn or_after(self, delay: Duration) -> Self {
        match self {
            Self::Transient { after } => Self::Transient {
                after: after.or(Some(delay)),
            },
            Self::Overload { after } => Self::Overload {
                after: after.or(Some(delay)),
            },
            Self::Permanent => Self::Permanent,
        }
    }

    /// The class of an answer with the given HTTP status.
    ///
    /// 429, 503 and 529 are an overload; 408, 425 and the 5xx are transient, but for 501 and 505,
    /// which are permanent as everything else is. Where 403 or 404 come from a mistake that
    /// somebody will mend, say so with [`Standard::http_status`].
    pub fn of_http_status(status: u16) -> Self {
        http::class(status)
    }

    /// The class of an input or output error of the given kind; `None` where the kind does not say.
    pub fn of_io_kind(kind: io::ErrorKind) -> Option<Self> {
        io_kind::class(kind)
    }
}

/// How many causes are looked at: an error that is its own cause must not hang anybody.
const DEPTH: usize = 64;

/// An error and its causes, outermost first.
pub(crate) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + use<'a> {
    std::iter::successors(Some(error), |error| cause(*error)).take(DEPTH)
}

/// The cause of an error. That of an `io::Error` is what it was made of, which it skips itself.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(error) = error.downcast_ref::<io::Error>()
        && let Some(inner) = error.get_ref()
    {
        return Some(inner);
    }
    error.source()
}
