//! Tables for people.

use crate::gate::{Breach, LIMITS};
use crate::latency::Reading;
use crate::report::{JobReport, Row, goals};

const HEAD: [&str; 7] = ["", "ns", "cpu ns", "instr", "allocs", "x towpath", "goal"];

/// The table of one job.
pub fn job(report: &JobReport) -> String {
    let rows = report.rows.iter().map(|row| case(report, row));
    let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned))
        .chain(rows)
        .collect();
    let table = aligned(&rows);
    format!("{}: {}\n{table}", report.job.name(), report.job.title())
}

/// One line of one probe.
pub fn probe(reading: &Reading) -> String {
    let fields: Vec<_> = reading
        .fields
        .iter()
        .map(|(name, value)| format!("{name} {value:.2}"))
        .collect();
    let (field, most) = reading.goal;
    let verdict = if reading.is_met() { "met" } else { "missed" };
    format!(
        "  {:<22} {}  (goal {field} <= {most}: {verdict})",
        reading.name,
        fields.join("  ")
    )
}

/// The table of the gate: what is allowed, what was found.
pub fn gate(rows: &[Row], breaches: &[Breach]) -> String {
    let head = ["", "instr", "limit", "allocs", "limit"].map(str::to_owned);
    let lines = rows.iter().map(|row| {
        let name = row.to_string();
        let limit = LIMITS.iter().find(|limit| limit.case == name);
        [
            name,
            number(row.figures.instructions, 1),
            number(limit.and_then(|limit| limit.instructions), 0),
            number(row.figures.allocations, 4),
            number(limit.map(|limit| limit.allocations), 2),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(lines).collect();
    let breaches: Vec<_> = breaches
        .iter()
        .map(|breach| format!("BREACH {breach}\n"))
        .collect();
    aligned(&rows) + &breaches.concat()
}

fn case(report: &JobReport, row: &Row) -> [String; 7] {
    let (figures, peer) = (&row.figures, row.contender);
    let is_reference = peer == "towpath";
    let ratio = report
        .ours()
        .map(|ours| figures.wall_ns / ours.figures.wall_ns);
    let goal = if is_reference {
        goals::nanoseconds(report.job).map(|most| format!("<= {most} ns"))
    } else {
        goals::ratio(report.job, peer).map(|least| format!(">= {least:.1}"))
    };
    [
        peer.to_owned(),
        number(Some(figures.wall_ns), 1),
        number(figures.cpu_ns, 1),
        number(figures.instructions, 0),
        number(figures.allocations, 3),
        number(ratio, 2),
        goal.unwrap_or_default(),
    ]
}

/// A figure, or a dash where there is none.
pub fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

/// Names to the left, figures to the right.
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let lines: Vec<_> = rows.iter().map(|row| line(row, &widths)).collect();
    lines.concat()
}

fn line<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let cells = row.iter().zip(widths).enumerate();
    let padded: Vec<_> = cells
        .map(|(column, (cell, &width))| match column {
            0 => format!("  {cell:<width$}"),
            _ => format!("  {cell:>width$}"),
        })
        .collect();
    padded.concat() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "1"], ["long", "12.5"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "  a        1\n  long  12.5\n");
    }

    #[test]
    fn a_figure_that_was_not_measured_is_a_dash() {
        assert_eq!(number(None, 2), "-");
    }
}
