//! The report at the end.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;
use towpath::{PolicyStatus, Report};

use crate::backend::Backend;

/// What became of the orders, and what that cost. `taken` is the sum of `delivered`, `refused`,
/// `given_up` and `given_back`.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// Orders that were taken from the source.
    taken: u64,
    /// Orders that were answered.
    delivered: u64,
    /// Orders that the service refused for good, at the first try.
    refused: u64,
    /// Orders for which no attempt or no budget was left.
    given_up: u64,
    /// Orders that were not finished before Ctrl-C.
    given_back: u64,
    /// Answers, as the service counts them.
    answered: u64,
    /// Calls of the service.
    calls: u64,
    /// Calls while it was down.
    calls_while_down: u64,
    /// Milliseconds from start to end.
    elapsed_ms: u64,
    /// How the policies of the stage were in the end.
    policies: Vec<PolicyStatus>,
}

// === impl Summary ===

impl Summary {
    pub(crate) fn of(report: &Report, backend: &Backend) -> Self {
        let counts = &report.counts;
        let refused = backend.refused.load(Relaxed);
        Self {
            taken: counts.emitted,
            delivered: counts.done,
            refused,
            given_up: counts.rejected.saturating_sub(refused),
            given_back: counts.retried,
            answered: backend.answered.load(Relaxed),
            calls: backend.calls.load(Relaxed),
            calls_while_down: backend.calls_while_down.load(Relaxed),
            elapsed_ms: report.elapsed_ms,
            policies: report
                .stages
                .iter()
                .flat_map(|stage| stage.policies.clone())
                .collect(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name, count: u64, remark| {
            let line = format!("{name:<20}{count:>8}   {remark}");
            writeln!(f, "{}", line.trim_end())
        };
        line("taken", self.taken, "orders")?;
        line("delivered", self.delivered, "")?;
        line("refused", self.refused, "for good, at the first try")?;
        line("given up", self.given_up, "no attempt or no budget left")?;
        line("given back", self.given_back, "not finished before Ctrl-C")?;
        line("calls", self.calls, "")?;
        line(
            "calls while down",
            self.calls_while_down,
            "what an outage costs",
        )?;
        line("elapsed", self.elapsed_ms, "ms")?;
        for policy in &self.policies {
            writeln!(f, "{policy:?}")?;
        }
        Ok(())
    }
}
