//! What must hold at the end of any run.

use towpath::{
    Ending, Report,
    core::invariants::{Violation, bounded, conserved, figures_agree, settled, told_all},
};

/// Ends any test: nothing lost or counted twice, nothing without an outcome, never more in
/// flight than the bound, and all figures of the report agree.
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
    bounded(&report.counts, report.bound)?;
    let Report {
        counts,
        latency,
        sources,
        stages,
        ending,
        ..
    } = report;
    figures_agree(counts, latency, sources, stages)?;
    if matches!(ending, Ending::Finished | Ending::Stopped) {
        sources.iter().try_for_each(told_all)?;
    }
    Ok(())
}
