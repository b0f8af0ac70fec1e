//! Puts figures under their metrics.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use towpath_core::Distribution;

use crate::metrics::{Family, Kind, Metric, Sample, Value, catalog};

/// The families read so far, by name.
#[derive(Default)]
pub(super) struct Collector(BTreeMap<&'static str, Family>);

/// The labels of a sample.
#[derive(Clone, Default)]
pub(super) struct Labels(Vec<(&'static str, String)>);

/// The word under which a value is written as data: `half_open`.
pub(super) fn word(value: &impl Serialize) -> String {
    let written = serde_json::to_value(value).ok();
    let word = written.as_ref().and_then(|written| written.as_str());
    word.unwrap_or("other").to_owned()
}

// === impl Collector ===

impl Collector {
    pub(super) fn count(&mut self, metric: &'static Metric, labels: &Labels, count: u64) {
        self.add(metric, labels, Value::Count(count));
    }

    pub(super) fn size(&mut self, metric: &'static Metric, labels: &Labels, size: usize) {
        self.count(metric, labels, size as u64);
    }

    pub(super) fn number(&mut self, metric: &'static Metric, labels: &Labels, number: f64) {
        self.add(metric, labels, Value::Number(number));
    }

    pub(super) fn seconds(&mut self, metric: &'static Metric, labels: &Labels, time: Duration) {
        self.number(metric, labels, time.as_secs_f64());
    }

    pub(super) fn is(&mut self, metric: &'static Metric, labels: &Labels, is: bool) {
        self.add(metric, labels, Value::from(is));
    }

    pub(super) fn histogram(
        &mut self,
        metric: &'static Metric,
        labels: &Labels,
        read: &Distribution,
    ) {
        if let Kind::Histogram(scale) = metric.kind {
            self.add(metric, labels, Value::distribution(scale, read));
        }
    }

    fn add(&mut self, metric: &'static Metric, labels: &Labels, value: Value) {
        debug_assert!(labels.0.iter().map(|(name, _)| name).eq(metric.labels));
        let sample = Sample::new(labels.0.clone(), value);
        self.family(metric).samples.push(sample);
    }

    /// Adds figures that were read elsewhere.
    pub(super) fn join(&mut self, family: Family) {
        self.family(family.metric).samples.extend(family.samples);
    }

    fn family(&mut self, metric: &'static Metric) -> &mut Family {
        let empty = || Family::new(metric, Vec::new());
        self.0.entry(metric.name).or_insert_with(empty)
    }

    /// What was read, in the order of the catalog.
    pub(super) fn families(mut self) -> Vec<Family> {
        let names = catalog::ALL.iter().map(|metric| metric.name);
        names.filter_map(|name| self.0.remove(name)).collect()
    }
}

// === impl Labels ===

impl Labels {
    /// These labels and another one behind them.
    pub(super) fn with(&self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        let mut labels = self.0.clone();
        labels.push((name, value.to_string()));
        Self(labels)
    }
}
