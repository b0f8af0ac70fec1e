//! The catalog for people: `docs/metrics.md`.

use std::fmt::{self, Display};

use super::{Kind, Metric, Scale, catalog};

const PREFACE: &str = include_str!("reference/preface.md");

/// The chapters, and the second words of the names of their metrics.
const CHAPTERS: &[(&str, &[&str])] = &[
    ("Pipelines", &["pipeline"]),
    ("Sources", &["source"]),
    ("Stages", &["stage"]),
    ("Sinks of servers", &["sink"]),
    ("Queues", &["queue"]),
    ("Batches", &["batch"]),
    (
        "Policies",
        &[
            "policy",
            "rate_limit",
            "concurrency",
            "breaker",
            "retry",
            "timeout",
            "deadline",
            "dedup",
            "hedge",
            "fallback",
        ],
    ),
    ("The tokio runtime", &["tokio"]),
    ("Telemetry itself", &["telemetry"]),
];

/// All metrics in Markdown: what `docs/metrics.md` holds.
pub fn reference() -> String {
    Reference.to_string()
}

struct Reference;

impl Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFACE)?;
        CHAPTERS.iter().try_for_each(|(title, words)| {
            writeln!(f, "\n## {title}\n")?;
            writeln!(
                f,
                "| metric | in Prometheus | kind | unit | labels | what it says |"
            )?;
            writeln!(f, "|---|---|---|---|---|---|")?;
            chapter(words).try_for_each(|metric| write_row(f, metric))
        })
    }
}

fn chapter(words: &[&str]) -> impl Iterator<Item = &'static Metric> {
    let metrics = catalog::ALL.iter().copied();
    metrics.filter(|metric| {
        metric
            .name
            .split('.')
            .nth(1)
            .is_some_and(|word| words.contains(&word))
    })
}

fn write_row(f: &mut fmt::Formatter<'_>, metric: &Metric) -> fmt::Result {
    let Metric {
        name, unit, help, ..
    } = metric;
    let prometheus = metric.prometheus_name();
    let kind = kind(metric.kind);
    let labels: Vec<_> = metric
        .labels
        .iter()
        .map(|label| format!("`{label}`"))
        .collect();
    let labels = labels.join(", ");
    writeln!(
        f,
        "| `{name}` | `{prometheus}` | {kind} | `{unit}` | {labels} | {help} |"
    )
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::UpDown => "up-down counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(Scale::Durations) => "histogram of durations",
        Kind::Histogram(Scale::Sizes) => "histogram of sizes",
        Kind::Histogram(Scale::Weights) => "histogram of weights",
    }
}
