//! What must hold at the end of any run.

use towpath::{
    Ending, Report,
    core::invariants::{Violation, bounded, conserved, figures_agree, settled, told_all},
};

use crate::metrics;

/// Ends any test: nothing lost or counted twice, nothing without an outcome, never more in
/// flight than the bound, all figures of the report agree, and Prometheus is told the same.
///
/// # Panics
/// Panics with the law that does not hold, and the report.
#[track_caller]
pub fn check(report: &Report) {
    if let Err(violation) = laws(report) {
        panic!("{violation}\n{report}");
    }
    if let Err(untrue) = metrics::agree(report) {
        panic!("{untrue}\n{report}");
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
    reasons_agree(report)?;
    if matches!(ending, Ending::Finished | Ending::Stopped) {
        sources.iter().try_for_each(told_all)?;
    }
    Ok(())
}

fn reasons_agree(report: &Report) -> Result<(), Violation> {
    let (found, expected) = (report.dropped.values().sum(), report.counts.dropped);
    if found == expected {
        return Ok(());
    }
    Err(Violation::Figures {
        of: report.name.clone(),
        law: "what was dropped has a reason",
        found,
        expected,
    })
}
