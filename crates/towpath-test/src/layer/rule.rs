//! What a layer has to keep to, and what is said when it does not.

use std::fmt;

/// What a layer has to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Each call is preceded by a `poll_ready` that said ready, on the same instance of the
    /// inner service, also when it is a retry; no future is polled after its end.
    Contract,
    /// One permit for each call that is let in, whatever the number of clones; none for
    /// who only waits or idles.
    Permits,
    /// Whoever is told `Pending` is woken when it is worth looking again, through the
    /// waker given last; and not again and again while nothing happens.
    Wakers,
    /// A call that is dropped, wherever it was, gives back what it took, and ends.
    Cancellation,
    /// Whatever the layer started ends with its services and futures.
    Tasks,
    /// The error of the inner service is found in the chain of causes.
    Errors,
    /// A call that panics gives back what it took.
    Panics,
    /// Time is read from tokio's clock alone, and passes as it was said to.
    Time,
}

/// A rule that a layer breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}")]
#[non_exhaustive]
pub struct Broken {
    /// The rule.
    pub rule: Rule,
    /// What was seen.
    pub what: String,
}

// === impl Rule ===

impl Rule {
    /// All rules, the most basic ones first.
    pub const ALL: [Self; 8] = [
        Self::Contract,
        Self::Permits,
        Self::Wakers,
        Self::Cancellation,
        Self::Tasks,
        Self::Errors,
        Self::Panics,
        Self::Time,
    ];

    pub(super) fn broken(self, what: impl Into<String>) -> Broken {
        let what = what.into();
        Broken { rule: self, what }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contract => "contract (`poll_ready` before every call, on the same instance)",
            Self::Permits => "permits (one for each call that is let in, across clones)",
            Self::Wakers => "wakers (a waker is left at every `Pending`)",
            Self::Cancellation => "cancellation (a dropped call gives back what it took)",
            Self::Tasks => "tasks (none is detached)",
            Self::Errors => "errors (the inner error is in the chain of causes)",
            Self::Panics => "panics (a call that panics gives back what it took)",
            Self::Time => "time (tokio's clock alone, which can be paused)",
        })
    }
}
