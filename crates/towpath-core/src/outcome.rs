//! What becomes of a message: the four outcomes, and why.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use crate::{BoxError, Headers, StageName};

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
        /// How many attempts this delivery came to, those made in place included; at least 1.
        ///
        /// Filled in by the receipt as it settles, whatever it was before.
        attempts: u32,
        /// The headers of its trace, where the message is traced: delivered with them, it
        /// goes on with it. Filled in by the receipt too.
        trace: Option<Box<Headers>>,
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

// === impl Outcome ===

impl Outcome {
    /// Given back to the source at once.
    #[must_use]
    pub fn retry() -> Self {
        Self::retry_after(Duration::ZERO)
    }

    /// Given back to the source, to be delivered again no sooner than `after`.
    #[must_use]
    pub fn retry_after(after: Duration) -> Self {
        Self::Retry {
            after,
            attempts: 1,
            trace: None,
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
            Self::Retry { after, .. } => write!(f, "retried after {after:?}"),
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

#[cfg(test)]
mod tests {
    //! What an outcome says before it is settled.

    use super::*;

    #[test]
    fn an_outcome_that_gives_back_counts_one_attempt_until_it_settles() {
        assert!(matches!(
            Outcome::retry(),
            Outcome::Retry { attempts: 1, .. }
        ));
        let later = Outcome::retry_after(Duration::from_secs(2));
        assert_eq!(later.to_string(), "retried after 2s");
    }
}
