//! The metrics of a pipeline as Prometheus reads them, for tests to ask and to compare.

mod claims;
mod page;

use std::fmt;

use towpath::{Report, Status, core::Distribution};
use towpath_telemetry::metrics::{families, prometheus};

use self::{
    claims::{Claim, Figure, Unit},
    page::{Line, Page, Series},
};

/// The metrics of pipelines, read again from the text that Prometheus reads.
///
/// ```
/// use towpath::Flow;
/// use towpath_test::{Metrics, TestSource};
///
/// # towpath_test::paused(async {
/// let (source, _) = TestSource::of(0..10);
/// let report = Flow::from(source).acknowledge().run().await.unwrap();
/// let metrics = Metrics::of(&[report.status()]);
/// assert_eq!(metrics.get("towpath_pipeline_outcomes_total", &[("outcome", "done")]), 10.0);
/// # });
/// ```
#[derive(Debug)]
pub struct Metrics(Page);

/// A figure of the metrics that is not that of the report.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Untrue {
    #[error("the metrics cannot be read: {0}")]
    Unreadable(String),
    #[error("{series} is {found} in the metrics and {expected} in the report")]
    Wrong {
        series: String,
        found: String,
        expected: String,
    },
    #[error("{series} is not in the metrics, and {expected} in the report")]
    Missing { series: String, expected: String },
    #[error("{0} is in the metrics and not in the report")]
    Unexpected(String),
}

// === impl Metrics ===

impl Metrics {
    /// What Prometheus would be told of these pipelines.
    ///
    /// # Panics
    /// When that text cannot be read again.
    #[track_caller]
    pub fn of(statuses: &[Status]) -> Self {
        Self::read(&prometheus(&families(statuses)))
    }

    /// Reads the text of `/metrics`.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        Self(Page::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}")))
    }

    /// The sum of all series of this name that carry these labels; of a histogram, of `_sum`
    /// or `_count`.
    ///
    /// # Panics
    /// When there is no such series.
    #[track_caller]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.find(name, labels);
        found.unwrap_or_else(|| panic!("there is no {name} with {labels:?}"))
    }

    /// As [`get`](Self::get); `None` when there is no such series.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let lines = self.0.with(name, labels);
        lines.map(Line::number).reduce(|sum, number| sum + number)
    }
}

/// Every figure of the metrics is the one of the report, and the metrics have no others.
pub(crate) fn agree(report: &Report) -> Result<(), Untrue> {
    compare(report, &prometheus(&families(&[report.status()])))
}

fn compare(report: &Report, text: &str) -> Result<(), Untrue> {
    let mut page = Page::parse(text).map_err(Untrue::Unreadable)?;
    for claim in claims::of(report) {
        judge(&claim, &mut page)?;
    }
    match page.any() {
        Some(series) => Err(Untrue::Unexpected(series.to_string())),
        None => Ok(()),
    }
}

fn judge(claim: &Claim, page: &mut Page) -> Result<(), Untrue> {
    match &claim.figure {
        Figure::Count(count) => judge_one(&claim.series, page, *count, |line| {
            line.value.parse() == Ok(*count)
        }),
        Figure::Number(number) => judge_one(&claim.series, page, *number, |line| {
            is_near(line.number(), *number)
        }),
        Figure::Histogram(unit, figures) => judge_histogram(&claim.series, page, *unit, figures),
    }
}

fn judge_one(
    series: &Series,
    page: &mut Page,
    expected: impl fmt::Display,
    is_true: impl Fn(&Line) -> bool,
) -> Result<(), Untrue> {
    let lines = page.take(series);
    let [line] = &lines[..] else {
        return Err(Untrue::Missing {
            series: series.to_string(),
            expected: expected.to_string(),
        });
    };
    if is_true(line) {
        return Ok(());
    }
    Err(wrong(series, &line.value, expected))
}

/// What was never measured may be left out.
fn judge_histogram(
    series: &Series,
    page: &mut Page,
    unit: Unit,
    figures: &Distribution,
) -> Result<(), Untrue> {
    let [buckets, sum, count] = ["_bucket", "_sum", "_count"].map(|part| series.ending_in(part));
    let lines = page.take(&buckets);
    if lines.is_empty() && figures.count == 0 {
        return Ok(());
    }
    for line in &lines {
        judge_bucket(&buckets, line, unit, figures)?;
    }
    if lines.last().and_then(|line| line.bound) != Some(f64::INFINITY) {
        return Err(Untrue::Missing {
            series: format!("the last bucket of {series}"),
            expected: figures.count.to_string(),
        });
    }
    let expected = unit.of(figures.sum);
    judge_one(&sum, page, expected, |line| {
        is_near(line.number(), expected)
    })?;
    judge_one(&count, page, figures.count, |line| {
        line.value.parse() == Ok(figures.count)
    })
}

fn judge_bucket(
    series: &Series,
    line: &Line,
    unit: Unit,
    figures: &Distribution,
) -> Result<(), Untrue> {
    let end = line.bound.unwrap_or(f64::NAN);
    let expected = below(figures, end, unit);
    if expected.is_some_and(|count| line.value.parse() == Ok(count)) {
        return Ok(());
    }
    let expected = expected.map_or_else(|| "no bucket".to_owned(), |count| count.to_string());
    let series = format!("{series} up to {end}");
    Err(wrong(series, &line.value, expected))
}

/// How many figures are no larger than the end of a bucket, where the engine has one that ends
/// there.
fn below(figures: &Distribution, end: f64, unit: Unit) -> Option<u64> {
    if end.is_infinite() {
        return Some(figures.count);
    }
    let powers = 0..u32::try_from(figures.buckets.len().max(63)).ok()?;
    let mut ends = powers.map(|power| (power as usize, (1_u64 << power) - 1));
    let (buckets, _) = ends.find(|(_, largest)| is_near(unit.of(*largest), end))?;
    Some(figures.buckets.iter().take(buckets).sum())
}

/// Whether two numbers are the same but for the last bit of a division.
fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 2.0 * f64::EPSILON * b.abs()
}

fn wrong(series: impl fmt::Display, found: &str, expected: impl fmt::Display) -> Untrue {
    Untrue::Wrong {
        series: series.to_string(),
        found: found.to_owned(),
        expected: expected.to_string(),
    }
}

#[cfg(test)]
mod tests;
