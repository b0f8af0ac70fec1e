//! What becomes of a message: the four outcomes, and why.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use crate::{BoxError, StageName};

/// The fate of one delivery. Exactly one reaches the source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// All side effects are done.
    Done,
    /// Given back to the source, to be delivered again no sooner than `after`.
    Retry {
        /// How long the source should wait before it delivers the message again.
        after: Duration,
    },
    /// Will never succeed: it goes to the dead-letter route.
    Reject(Cause),
    /// Left out on purpose, and counted by its reason.
    Drop(Reason),
}

/// Why a message was left out on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Reason(Cow<'static, str>);

/// Why a message was rejected: the stage, and the error with its chain.
#[derive(Clone)]
pub struct Cause(Arc<CauseInner>);

struct CauseInner {
    stage: StageName,
    error: BoxError,
}

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

// === impl Outcome ===

impl Outcome {
    /// Given back to the source at once.
    #[must_use]
    pub fn retry() -> Self {
        Self::Retry {
            after: Duration::ZERO,
        }
    }

    /// A word for the outcome: `done`, `retried`, `rejected` or `dropped`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry { .. } => "retried",
            Self::Reject(_) => "rejected",
            Self::Drop(_) => "dropped",
        }
    }

    /// Whether all side effects are done.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// How bad the outcome is, for the joined outcome of parts: the worst decides.
    pub(crate) fn severity(&self) -> u8 {
        match self {
            Self::Drop(_) => 0,
            Self::Done => 1,
            Self::Reject(_) => 2,
            Self::Retry { .. } => 3,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Retry { after } => write!(f, "retried after {after:?}"),
            Self::Reject(cause) => write!(f, "rejected: {cause}"),
            Self::Drop(reason) => write!(f, "dropped: {reason}"),
        }
    }
}

// === impl Reason ===

impl Reason {
    /// A reason; keep the set of reasons small, each is a counter.
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }

    /// The reason as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Reason {
    fn from(reason: &'static str) -> Self {
        Self::new(reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Cause ===

impl Cause {
    /// A cause at a stage.
    pub fn new(stage: StageName, error: impl Into<BoxError>) -> Self {
        Self(Arc::new(CauseInner {
            stage,
            error: error.into(),
        }))
    }

    /// The stage at which the message failed.
    pub fn stage(&self) -> &StageName {
        &self.0.stage
    }

    /// The error itself; its chain holds the deeper causes.
    pub fn error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0.error
    }

    /// The error and each of its causes, outermost first.
    pub fn chain(&self) -> Vec<String> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(self.error());
        std::iter::from_fn(|| {
            let error = next?;
            next = error.source();
            Some(error.to_string())
        })
        .collect()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed at stage {}", self.0.stage)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cause")
            .field("stage", &self.0.stage)
            .field("error", &self.0.error)
            .finish()
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.error())
    }
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
            Disposition::Retry { after } => Outcome::Retry { after },
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
