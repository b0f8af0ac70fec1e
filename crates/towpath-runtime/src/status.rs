//! How a running pipeline is doing.

use towpath_core::{Counts, StageName};

use crate::report::StageReport;

/// Where a pipeline is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Sources are asked for more.
    Running,
    /// Sources are not asked; what was taken goes on.
    Paused,
    /// What was taken is finished, and no more is taken.
    Draining,
    /// Everything has ended.
    Stopped,
}

/// A pipeline at one moment.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The pipeline.
    pub name: StageName,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its accounts, with the high-water mark of what was in flight.
    pub counts: Counts,
    /// The most messages that can be in flight.
    pub bound: u64,
    /// Each stage.
    pub stages: Vec<StageReport>,
}
