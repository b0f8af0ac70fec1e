//! What a metric is: its names, its unit and its kind.

use std::sync::LazyLock;

/// A metric: one entry of the [catalog](super::catalog).
#[derive(Clone, Copy, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Metric {
    /// Its name as OpenTelemetry has it: `towpath.stage.duration`.
    pub name: &'static str,
    /// Its unit as OpenTelemetry has it: `s`, `By`, `1` for a ratio, `{message}` for a count.
    pub unit: &'static str,
    /// How its figures behave.
    pub kind: Kind,
    /// What it says, in one sentence.
    pub help: &'static str,
    /// The labels that each of its samples carries, in this order.
    pub labels: &'static [&'static str],
}

/// How the figures of a metric behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// A sum that only grows.
    Counter,
    /// A sum that grows and shrinks: it makes sense to add it up.
    UpDown,
    /// What is the case now; adding it up makes no sense.
    Gauge,
    /// How often figures were how large.
    Histogram(Scale),
}

/// Where the buckets of a histogram end. Always the same ends for one metric.
///
/// A bucket ends at the largest whole figure that it holds, `2^k - 1`, so that what is counted
/// below an end is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scale {
    /// Durations from 1 us to 68.7 s, in seconds; each end is twice the one before.
    Durations,
    /// Numbers of messages from 1 to 65 535; each end is twice the one before.
    Sizes,
    /// Weights from 63 to 4 294 967 295 (of bytes: 4 GiB); each end is four times the one
    /// before.
    Weights,
}

// === impl Metric ===

impl Metric {
    /// Its name as Prometheus has it, by OpenTelemetry's rule: `towpath_stage_duration_seconds`.
    ///
    /// Dots become underscores; the unit is spelled out behind the name, unless it is a mere
    /// annotation such as `{message}`; a ratio that is a gauge ends in `_ratio`, a counter in
    /// `_total`.
    pub fn prometheus_name(&self) -> String {
        let mut name = self.name.replace('.', "_");
        for part in self.suffixes() {
            if !name.ends_with(part) {
                name.push('_');
                name.push_str(part);
            }
        }
        name
    }

    fn suffixes(&self) -> impl Iterator<Item = &'static str> {
        let unit = match self.unit {
            "s" => Some("seconds"),
            "By" => Some("bytes"),
            "1" if self.kind == Kind::Gauge => Some("ratio"),
            per_second if per_second.ends_with("}/s") => Some("per_second"),
            _ => None,
        };
        let total = (self.kind == Kind::Counter).then_some("total");
        unit.into_iter().chain(total)
    }
}

// === impl Kind ===

impl Kind {
    /// Its name in Prometheus: `counter`, `gauge` or `histogram`.
    pub fn prometheus_type(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::UpDown | Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

// === impl Scale ===

impl Scale {
    /// The inclusive upper ends of its buckets, without the infinite one; durations in seconds.
    pub fn bounds(self) -> &'static [f64] {
        static DURATIONS: LazyLock<Vec<f64>> = LazyLock::new(|| ends(Scale::Durations));
        static SIZES: LazyLock<Vec<f64>> = LazyLock::new(|| ends(Scale::Sizes));
        static WEIGHTS: LazyLock<Vec<f64>> = LazyLock::new(|| ends(Scale::Weights));
        match self {
            Self::Durations => &DURATIONS,
            Self::Sizes => &SIZES,
            Self::Weights => &WEIGHTS,
        }
    }

    /// The powers of two below which its buckets end.
    pub(super) fn powers(self) -> impl Iterator<Item = u32> {
        let (powers, step) = match self {
            Self::Durations => (10..=36, 1),
            Self::Sizes => (1..=16, 1),
            Self::Weights => (6..=32, 2),
        };
        powers.step_by(step)
    }

    /// A whole figure of the engine in the unit of the metric.
    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 2^53 ns, which is 104 days, a sum is off by less than 2^-53 of itself"
    )]
    pub(super) fn in_unit(self, figure: u64) -> f64 {
        match self {
            Self::Durations => figure as f64 / 1e9,
            Self::Sizes | Self::Weights => figure as f64,
        }
    }
}

fn ends(scale: Scale) -> Vec<f64> {
    let ends = scale.powers().map(|power| (1 << power) - 1);
    ends.map(|end| scale.in_unit(end)).collect()
}
