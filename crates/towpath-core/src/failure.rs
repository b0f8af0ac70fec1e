//! An error that says what should become of its message.

use std::{fmt, time::Duration};

use crate::{BoxError, Cause, Outcome, Reason, StageName};

/// An error that says what should become of its message.
///
/// Any other error of a handler means *reject*. Return this one to give the
/// message back to the source, or to drop it.
///
/// ```
/// use std::time::Duration;
/// use towpath_core::{BoxError, Failure};
///
/// fn handle(busy: bool) -> Result<(), BoxError> {
///     if busy {
///         return Err(Failure::retry("busy").after(Duration::from_secs(1)).into());
///     }
///     Ok(())
/// }
/// assert!(handle(true).is_err());
/// ```
#[derive(Debug)]
pub struct Failure {
    error: BoxError,
    disposition: Disposition,
}

#[derive(Clone, Debug)]
enum Disposition {
    Retry { after: Duration },
    Reject,
    Drop(Reason),
}

// === impl Failure ===

impl Failure {
    /// The message will never succeed: it goes to the dead-letter route.
    pub fn reject(error: impl Into<BoxError>) -> Self {
        Self::new(error, Disposition::Reject)
    }

    /// The message may succeed later: it is given back to the source.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        let after = Duration::ZERO;
        Self::new(error, Disposition::Retry { after })
    }

    /// The message is left out on purpose.
    pub fn drop(reason: impl Into<Reason>) -> Self {
        let reason = reason.into();
        Self::new(reason.to_string(), Disposition::Drop(reason))
    }

    fn new(error: impl Into<BoxError>, disposition: Disposition) -> Self {
        Self {
            error: error.into(),
            disposition,
        }
    }

    /// How long the source should wait before it delivers the message again.
    ///
    /// Turns any failure into one that is given back.
    #[must_use]
    pub fn after(mut self, after: Duration) -> Self {
        self.disposition = Disposition::Retry { after };
        self
    }

    /// Whether the message is to be given back to its source.
    pub fn is_retry(&self) -> bool {
        matches!(self.disposition, Disposition::Retry { .. })
    }

    /// How long the source should wait; `None` unless the message is to be given back.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.disposition {
            Disposition::Retry { after } => Some(after),
            Disposition::Reject | Disposition::Drop(_) => None,
        }
    }

    /// A word for what becomes of the message, as [`Outcome::word`] has them: `retried`,
    /// `rejected` or `dropped`.
    pub fn word(&self) -> &'static str {
        match self.disposition {
            Disposition::Retry { .. } => "retried",
            Disposition::Reject => "rejected",
            Disposition::Drop(_) => "dropped",
        }
    }

    /// The error it was made of.
    pub fn error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.error
    }

    /// The error it was made of, taken out.
    pub fn into_error(self) -> BoxError {
        self.error
    }

    /// Reads any error: a `Failure` as it is, everything else as a rejection.
    pub fn from_error(error: impl Into<BoxError>) -> Self {
        match error.into().downcast::<Self>() {
            Ok(failure) => *failure,
            Err(error) => Self::reject(error),
        }
    }

    /// The outcome of a message that failed so at `stage`.
    #[must_use]
    pub fn into_outcome(self, stage: &StageName) -> Outcome {
        match self.disposition {
            Disposition::Retry { after } => Outcome::retry_after(after),
            Disposition::Reject => Outcome::Reject(Cause::new(stage.clone(), self.error)),
            Disposition::Drop(reason) => Outcome::Drop(reason),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.disposition {
            Disposition::Retry { .. } => "the message is to be retried",
            Disposition::Reject => "the message is rejected",
            Disposition::Drop(_) => "the message is dropped",
        })
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.error)
    }
}

#[cfg(test)]
mod tests {
    //! What a failure says of itself before it is an outcome.

    use super::*;
    use crate::find;

    #[test]
    fn a_failure_says_what_becomes_of_its_message() {
        let second = Duration::from_secs(1);
        let retry = Failure::retry("busy").after(second);
        let drop = Failure::drop("cancelled");
        let all = [retry, Failure::reject("broken"), drop];
        let said = all.map(|f| (f.word(), f.is_retry(), f.retry_after()));
        let expected = [
            ("retried", true, Some(second)),
            ("rejected", false, None),
            ("dropped", false, None),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_failure_is_found_in_an_error_with_the_error_it_was_made_of() {
        let error: BoxError = Failure::retry("busy").into();
        let found = find::<Failure>(&*error).unwrap();
        assert!(found.is_retry());
        assert_eq!(found.error().to_string(), "busy");
    }
}
