//! What must hold at the end of any run.

use towpath::{
    Report,
    core::invariants::{Violation, bounded, conserved, settled},
};

/// Ends any test: nothing lost or counted twice, nothing without an outcome, and never
/// more in flight than the bound.
///
/// # Panics
/// Panics with the law that does not hold, and the report.
#[track_caller]
pub fn check(report: &Report) {
    if let Err(violation) = laws(report) {
        panic!("{violation}\n{report}");
    }
}

/// As [`check`], and the pipeline no longer runs: its name is free.
///
/// # Panics
/// Panics with what does not hold, and the report.
#[track_caller]
pub fn assert_no_leaks(report: &Report) {
    check(report);
    let runs = towpath::find(report.name.as_str()).is_some();
    assert!(
        !runs,
        "{} has reported and still runs\n{report}",
        report.name
    );
}

pub(crate) fn laws(report: &Report) -> Result<(), Violation> {
    conserved(&report.counts)?;
    settled(&report.counts)?;
    bounded(&report.counts, report.bound)
}
