//! What the figures look like: tables for people, lines of JSON for programs.

use serde::Serialize;

use super::contest::{Row, Standing};
use super::outage::Memory;
use crate::report::table::{aligned, number};

const HEAD: [&str; 7] = ["", "msg/s", "ns", "cpu ns", "x towpath", "rounds", "goal"];

/// One contender of one contest.
#[derive(Debug, Serialize)]
struct Line<'a> {
    name: String,
    title: &'a str,
    per_second: f64,
    ns_per_message: f64,
    cpu_ns_per_message: Option<f64>,
    ratio: f64,
    least_ratio: f64,
    most_ratio: f64,
    goal: Option<f64>,
    met: Option<bool>,
}

/// The table of one contest.
pub fn table(standing: &Standing) -> String {
    let head = std::iter::once(HEAD.map(str::to_owned));
    let rows: Vec<_> = head.chain(standing.rows.iter().map(cells)).collect();
    format!("{}: {}\n{}", standing.name, standing.title, aligned(&rows))
}

/// The lines of one contest.
pub fn lines(standing: &Standing) -> impl Iterator<Item = impl Serialize> {
    standing.rows.iter().map(|row| Line {
        name: format!("{}/{}", standing.name, row.contender),
        title: &standing.title,
        per_second: row.per_second().round(),
        ns_per_message: rounded(row.timing.wall_ns),
        cpu_ns_per_message: row.timing.cpu_ns.map(rounded),
        ratio: rounded(row.ratio.median),
        least_ratio: rounded(row.ratio.least),
        most_ratio: rounded(row.ratio.most),
        goal: row.goal,
        met: row.is_met(),
    })
}

/// What became of the memory while a sink was away.
pub fn memory(memory: &Memory) -> String {
    let head = ["", "RSS MiB"].map(str::to_owned);
    let cell = |name: String, bytes: u64| [name, number(Some(mebibytes(bytes)), 1)];
    let after = |seconds| format!("after {seconds} s");
    let meanwhile = memory.meanwhile.iter();
    let rows: Vec<_> = std::iter::once(head)
        .chain([cell("before it went".to_owned(), memory.before)])
        .chain(meanwhile.map(|(seconds, bytes)| cell(after(*seconds), *bytes)))
        .chain([cell("all written".to_owned(), memory.after)])
        .collect();
    format!("{}: {}\n{}", memory.name, memory.title, aligned(&rows))
}

fn cells(row: &Row) -> [String; 7] {
    let ratio = &row.ratio;
    let is_ours = row.contender == "towpath";
    let spread = format!("{:.2} to {:.2}", ratio.least, ratio.most);
    let goal = row.goal.zip(row.is_met());
    let goal = goal.map(|(goal, is_met)| {
        let word = if is_met { "met" } else { "missed" };
        format!(">= {goal:.2} {word}")
    });
    [
        row.contender.to_owned(),
        number(Some(row.per_second()), 0),
        number(Some(row.timing.wall_ns), 0),
        number(row.timing.cpu_ns, 0),
        number(Some(ratio.median), 2),
        if is_ours { String::new() } else { spread },
        goal.unwrap_or_default(),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "memory stays far below 2^52")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
