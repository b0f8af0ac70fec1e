//! The report at the end: how many, where to, how long, and what was left.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use towpath::{Ending, Report};

use super::error::FlightsError;
use super::schema::Table;
use super::text::Code;

/// Counts of the whole run. `read` is the sum of `dropped`, `rejected`, `delivered` and `left`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Rows taken out of the file.
    pub read: u64,
    /// Flights that never left.
    pub dropped: u64,
    /// Rows in the file of dead letters.
    pub rejected: u64,
    /// Rows in the table of flights.
    pub delivered: u64,
    /// Those of them that are in the table of late flights as well.
    pub late: u64,
    /// Rows in the table of flights, by airport of departure.
    pub by_origin: BTreeMap<Code, u64>,
    /// Milliseconds from start to end.
    pub elapsed_ms: u64,
    /// The most rows that were in flight at once.
    pub in_flight_high_water: u64,
    /// Rows that were read and then neither dropped, rejected nor delivered.
    pub left: u64,
    /// The file was read to its end.
    pub complete: bool,
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// What was done.
    pub summary: Summary,
    /// What ended the run before the end of the file.
    pub failure: Option<FlightsError>,
}

/// How many rows were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Rows of the table of late flights.
    pub late: u64,
    /// Rows of the table of flights, by airport of departure.
    pub by_origin: BTreeMap<Code, u64>,
}

/// What a shell expects of a program that was interrupted.
const INTERRUPTED: u8 = 130;

// === impl Finished ===

impl Finished {
    /// What a pipeline reports, and what is in the tables after it.
    pub fn of(
        report: &Report,
        stored: Stored,
        failure: Option<FlightsError>,
        elapsed: Duration,
    ) -> Self {
        let counts = &report.counts;
        let mut summary = Summary {
            read: counts.emitted,
            dropped: counts.dropped,
            rejected: counts.rejected,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            in_flight_high_water: counts.high_water,
            complete: report.ending == Ending::Finished,
            ..Summary::default()
        };
        summary.add(stored);
        let settled = summary.dropped + summary.rejected + summary.delivered;
        summary.left = summary.read.saturating_sub(settled);
        let unwell =
            || (report.exit_code() != 0).then(|| FlightsError::Ended(report.ending.clone()));
        let failure = failure.or_else(unwell);
        Self { summary, failure }
    }

    /// Success only if the whole file was read and nothing of it was left.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status())
    }

    fn status(&self) -> u8 {
        if self.failure.is_some() || self.summary.left > 0 {
            1
        } else if !self.summary.complete {
            INTERRUPTED
        } else {
            0
        }
    }
}

// === impl Summary ===

impl Summary {
    /// Takes over what was written.
    pub fn add(&mut self, stored: Stored) {
        self.delivered = stored.by_origin.values().sum();
        self.late = stored.late;
        self.by_origin = stored.by_origin;
    }

    fn origins(&self) -> String {
        let counts = self.by_origin.iter();
        let counts: Vec<_> = counts
            .map(|(origin, count)| format!("{origin} {count}"))
            .collect();
        counts.join(", ")
    }

    fn ending(&self) -> &'static str {
        match (self.left, self.complete) {
            (0, true) => "the file was read to its end",
            (0, false) => "the rest of the file was not read",
            (_, true) => "run it again",
            (_, false) => "and the rest of the file was not read: run it again",
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name, count: u64, remark: &str| {
            let line = format!("{name:<24}{count:>10}   {remark}");
            writeln!(f, "{}", line.trim_end())
        };
        line("read", self.read, "")?;
        line("dropped", self.dropped, "cancelled")?;
        line("rejected", self.rejected, "in the file of dead letters")?;
        line("delivered", self.delivered, &self.origins())?;
        line("late", self.late, "in the second table as well")?;
        line("left", self.left, self.ending())?;
        line("in flight at most", self.in_flight_high_water, "")?;
        line("elapsed", self.elapsed_ms, "ms")
    }
}

// === impl Stored ===

impl Stored {
    /// Counts a batch that was written, all of it from one origin.
    pub fn add(&mut self, table: Table, origin: Code, rows: u64) {
        match table {
            Table::Flights => *self.by_origin.entry(origin).or_default() += rows,
            Table::Late => self.late += rows,
        }
    }
}

#[cfg(test)]
mod tests;
