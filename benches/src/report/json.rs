//! One line of JSON per benchmark.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::latency::Reading;
use crate::report::{JobReport, Row};

/// A case, with how many times longer each other contender of its job takes.
#[derive(Debug, Serialize)]
pub struct CaseLine<'a> {
    name: String,
    title: &'static str,
    ns_per_message: f64,
    cpu_ns_per_message: Option<f64>,
    instructions: Option<f64>,
    allocations: Option<f64>,
    ratios: BTreeMap<&'a str, f64>,
    cpu_ratios: BTreeMap<&'a str, f64>,
}

/// A latency probe.
#[derive(Debug, Serialize)]
pub struct ProbeLine<'a> {
    name: &'a str,
    #[serde(flatten)]
    fields: BTreeMap<&'static str, f64>,
    goal: BTreeMap<&'static str, f64>,
    met: bool,
}

/// The lines of one job.
pub fn cases(report: &JobReport) -> impl Iterator<Item = CaseLine<'_>> {
    report.rows.iter().map(|row| case(report, row))
}

/// The line of one probe.
pub fn probe(reading: &Reading) -> ProbeLine<'_> {
    ProbeLine {
        name: &reading.name,
        fields: reading
            .fields
            .iter()
            .map(|(name, value)| (*name, rounded(*value)))
            .collect(),
        goal: BTreeMap::from([reading.goal]),
        met: reading.is_met(),
    }
}

fn case<'a>(report: &'a JobReport, row: &Row) -> CaseLine<'a> {
    let figures = &row.figures;
    CaseLine {
        name: row.to_string(),
        title: report.job.title(),
        ns_per_message: rounded(figures.wall_ns),
        cpu_ns_per_message: figures.cpu_ns.map(rounded),
        instructions: figures.instructions.map(rounded),
        allocations: figures.allocations.map(rounded),
        ratios: ratios(report, row, |row| Some(row.figures.wall_ns)),
        cpu_ratios: ratios(report, row, |row| row.figures.cpu_ns),
    }
}

fn ratios<'a>(
    report: &'a JobReport,
    own: &Row,
    of: impl Fn(&Row) -> Option<f64>,
) -> BTreeMap<&'a str, f64> {
    let peers = report
        .rows
        .iter()
        .filter(|row| row.contender != own.contender);
    let pairs = peers.filter_map(|peer| Some((peer.contender, of(peer)? / of(own)?)));
    pairs.map(|(peer, ratio)| (peer, rounded(ratio))).collect()
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
