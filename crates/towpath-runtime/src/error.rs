//! What can go wrong with a whole pipeline.

use std::time::Duration;

use towpath_core::{BoxError, Guarantee, StageName};

/// A pipeline that cannot be built or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Options that make no sense; all of them.
    #[error("the pipeline {pipeline} is not valid: {}", problems.join("; "))]
    Invalid {
        /// The pipeline.
        pipeline: StageName,
        /// Each problem with the stage and the option at fault.
        problems: Vec<String>,
    },
    /// A pipeline of the same name runs already.
    #[error("a pipeline named {pipeline} is running already")]
    NameTaken {
        /// The name.
        pipeline: StageName,
    },
    /// Source, stages and sinks together promise less than was required.
    #[error("the pipeline {pipeline} promises {promised}, {required} is required: {}", reasons.join("; "))]
    Guarantee {
        /// The pipeline.
        pipeline: StageName,
        /// What was required.
        required: Guarantee,
        /// What it promises.
        promised: Guarantee,
        /// Why it promises no more.
        reasons: Vec<String>,
    },
    /// A local resource of a stage is missing.
    #[error("stage {stage} cannot start")]
    Open {
        /// The stage.
        stage: StageName,
        /// What is missing.
        source: BoxError,
    },
}

/// A pipeline that ended before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It never began.
    #[error("the pipeline cannot start")]
    Build(#[from] BuildError),
    /// The pipeline was dropped, or its runtime ended, while it ran.
    #[error("the pipeline was dropped while it ran")]
    Dropped,
}

/// Why a running pipeline gave up; part of the report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Failed {
    #[error("stage {stage} was restarted {restarts} times within {within:?}")]
    RestartIntensity {
        stage: StageName,
        restarts: usize,
        within: Duration,
    },
    #[error("source {stage} cannot go on")]
    Source { stage: StageName, source: BoxError },
}

/// A message was routed to a branch that does not exist.
#[derive(Clone, Debug, thiserror::Error)]
#[error("there is no branch for the route {key}")]
#[non_exhaustive]
pub struct UnknownRoute {
    /// The route, as the route function gave it.
    pub key: String,
}

impl UnknownRoute {
    pub(crate) fn new(key: String) -> Self {
        Self { key }
    }
}
