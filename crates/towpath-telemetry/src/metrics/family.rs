//! The figures of one metric at one moment.

use serde::Serializer;

use super::{Metric, Scale};

/// A metric with all its figures at one moment.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Family {
    /// The metric.
    #[serde(flatten)]
    pub metric: &'static Metric,
    /// Its figures; no two have the same labels.
    pub samples: Vec<Sample>,
}

/// One figure, and of what.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Sample {
    /// Of what: name and value of each label, in the order of [`Metric::labels`].
    #[serde(serialize_with = "as_map")]
    pub labels: Vec<(&'static str, String)>,
    /// The figure.
    pub value: Value,
}

/// Has figures that no pipeline knows of, under metrics of the [catalog](super::catalog).
pub trait Extra: Send + Sync + 'static {
    /// Its figures at this moment.
    fn families(&self) -> Vec<Family>;
}

impl<F: Fn() -> Vec<Family> + Send + Sync + 'static> Extra for F {
    fn families(&self) -> Vec<Family> {
        self()
    }
}

/// A figure.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Value {
    /// A whole figure.
    Count(u64),
    /// A figure that need not be whole: seconds, a ratio.
    Number(f64),
    /// How often figures were how large.
    Distribution {
        /// The inclusive upper ends of the buckets, without the infinite one: those of the
        /// metric's [`Scale`].
        bounds: &'static [f64],
        /// How many figures were no larger than each end.
        cumulative: Vec<u64>,
        /// The sum of all figures.
        sum: f64,
        /// How many figures there were, those beyond the last end included.
        count: u64,
    },
}

// === impl Family ===

impl Family {
    /// A metric with its figures.
    pub fn new(metric: &'static Metric, samples: Vec<Sample>) -> Self {
        Self { metric, samples }
    }

    /// A metric without labels and its one figure.
    pub fn single(metric: &'static Metric, value: Value) -> Self {
        Self::new(metric, vec![Sample::new(Vec::new(), value)])
    }
}

// === impl Sample ===

impl Sample {
    /// A figure with its labels, in the order of [`Metric::labels`].
    pub fn new(labels: Vec<(&'static str, String)>, value: Value) -> Self {
        Self { labels, value }
    }
}

// === impl Value ===

impl Value {
    /// What a histogram of the engine holds, in the buckets of a metric.
    pub fn distribution(scale: Scale, read: &towpath_core::Distribution) -> Self {
        let below = |power: u32| read.buckets.iter().take(power as usize).sum();
        Self::Distribution {
            bounds: scale.bounds(),
            cumulative: scale.powers().map(below).collect(),
            sum: scale.in_unit(read.sum),
            count: read.count,
        }
    }
}

impl From<bool> for Value {
    /// 1 for what is the case, 0 for what is not.
    fn from(is: bool) -> Self {
        Self::Count(is.into())
    }
}

fn as_map<S: Serializer>(
    labels: &[(&'static str, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(name, value)| (name, value)))
}
