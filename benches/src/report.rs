//! What the figures look like: tables for people, lines of JSON for programs.

pub mod goals;
pub mod json;
pub mod table;

use std::fmt;

use crate::case::{Case, Job};
use crate::measure::Figures;

/// One contender at one job, and its figures.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The job.
    pub job: Job,
    /// Who did it.
    pub contender: &'static str,
    /// What was measured.
    pub figures: Figures,
}

/// The rows of one job, measured in the same rounds.
#[derive(Debug, Clone)]
pub struct JobReport {
    /// The job.
    pub job: Job,
    /// One row per contender. Losing rows stay.
    pub rows: Vec<Row>,
}

// === impl Row ===

impl Row {
    /// The figures of a case.
    pub fn of(case: &Case, figures: Figures) -> Self {
        Self {
            job: case.job,
            contender: case.contender,
            figures,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job.name(), self.contender)
    }
}

// === impl JobReport ===

impl JobReport {
    /// The row that the peers are compared with, when this build has it.
    pub fn ours(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.contender == "towpath")
    }
}
