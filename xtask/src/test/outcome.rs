//! What became of a step.

use std::process::ExitStatus;
use std::time::Duration;

use crate::error::{Error, chain};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed(String),
    NotRun(String),
}

/// A step that is over.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

impl Outcome {
    pub(super) fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// The outcome of a tool that may not be installed: where everything is expected to be
    /// installed, its absence must not go unnoticed.
    pub(super) fn missing(what: &str, is_ci: bool) -> Self {
        if is_ci {
            Self::Failed(what.to_owned())
        } else {
            Self::NotRun(what.to_owned())
        }
    }
}

impl From<Result<ExitStatus, Error>> for Outcome {
    fn from(result: Result<ExitStatus, Error>) -> Self {
        match result {
            Ok(status) if status.success() => Self::Passed,
            Ok(status) => Self::Failed(status.to_string()),
            Err(error) => Self::from(error),
        }
    }
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        Self::Failed(chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_a_failure_in_ci_alone() {
        assert_eq!(
            Outcome::missing("no fmt", true),
            Outcome::Failed("no fmt".to_owned())
        );
        assert_eq!(
            Outcome::missing("no fmt", false),
            Outcome::NotRun("no fmt".to_owned())
        );
    }
}
