//! What a status says, its metrics say too.

mod scene;

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};
use towpath_core::{Histogram, Phase, StageStatus};

use super::*;
use crate::metrics::{self, Kind, Metric, Sample, Scale, Value};

/// A pipeline that has a figure of every kind.
pub(crate) fn full_status() -> Status {
    scene::pipeline(1)
}

/// The figure of a metric with these labels among its own.
fn figure(families: &[Family], metric: &Metric, labels: &[(&str, &str)]) -> Option<Value> {
    let family = families
        .iter()
        .find(|family| family.metric.name == metric.name)?;
    let has = |sample: &Sample, (name, value): &(&str, &str)| {
        sample
            .labels
            .iter()
            .any(|label| (label.0, label.1.as_str()) == (*name, *value))
    };
    let mut found = family
        .samples
        .iter()
        .filter(|s| labels.iter().all(|label| has(s, label)));
    let sample = found.next();
    assert!(
        found.next().is_none(),
        "{} has several figures {labels:?}",
        metric.name
    );
    sample.map(|sample| sample.value.clone())
}

fn series(families: &[Family]) -> Vec<(&'static str, &Sample)> {
    let named = |family: &'_ Family| family.metric.name;
    families
        .iter()
        .flat_map(|family| family.samples.iter().map(move |s| (named(family), s)))
        .collect()
}

/// Metrics with labels among those of their sample, and the figures there.
type Expected<'a> = [(&'a Metric, &'a [(&'a str, &'a str)], Value)];

fn assert_figures(expected: &Expected<'_>) {
    let families = families(&[scene::pipeline(1)]);
    for (metric, labels, value) in expected {
        assert_eq!(
            figure(&families, metric, labels).as_ref(),
            Some(value),
            "{}",
            metric.name
        );
    }
}

#[test]
fn each_figure_of_a_pipeline_and_its_sources_is_under_its_metric() {
    assert_figures(&[
        (&catalog::PIPELINE_EMITTED, &[], Value::Count(100)),
        (
            &catalog::PIPELINE_OUTCOMES,
            &[("outcome", "retried")],
            Value::Count(20),
        ),
        (
            &catalog::PIPELINE_DROPPED,
            &[("reason", "cancelled")],
            Value::Count(5),
        ),
        (&catalog::PIPELINE_ABANDONED, &[], Value::Count(3)),
        (&catalog::PIPELINE_IN_FLIGHT, &[], Value::Count(15)),
        (&catalog::PIPELINE_IN_FLIGHT_LIMIT, &[], Value::Count(64)),
        (
            &catalog::PIPELINE_UPTIME,
            &[("pipeline", "orders")],
            Value::Number(90.0),
        ),
        (
            &catalog::SOURCE_REDELIVERED,
            &[("source", "broker")],
            Value::Count(7),
        ),
        (
            &catalog::SOURCE_SETTLED,
            &[("result", "stale")],
            Value::Count(2),
        ),
        (&catalog::SOURCE_UP, &[], Value::Count(0)),
        (&catalog::SOURCE_LAG, &[], Value::Count(1_200)),
    ]);
}

#[test]
fn each_figure_of_a_stage_is_under_its_metric() {
    assert_figures(&[
        (
            &catalog::STAGE_LOST_COPIES,
            &[("kind", "processor")],
            Value::Count(8),
        ),
        (&catalog::SINK_UP, &[], Value::Count(0)),
        (&catalog::SINK_FAILURES, &[], Value::Count(5)),
        (
            &catalog::STAGE_IN_FLIGHT,
            &[("stage", "stage 0")],
            Value::Count(9),
        ),
        (&catalog::STAGE_BUSY, &[], Value::Number(45.0)),
        (&catalog::STAGE_UTILIZATION, &[], Value::Number(0.5)),
        (&catalog::QUEUE_DEPTH, &[], Value::Count(3)),
        (&catalog::QUEUE_DEMAND, &[], Value::Count(29)),
        (
            &catalog::BATCH_CLOSED,
            &[("trigger", "age")],
            Value::Count(1),
        ),
    ]);
}

#[test]
fn each_figure_of_a_policy_is_under_its_metric() {
    assert_figures(&[
        (
            &catalog::RATE_LIMIT_CALLS,
            &[("policy", "rate_limit")],
            Value::Number(250.0),
        ),
        (
            &catalog::POLICY_WAITING,
            &[("policy", "rate_limit")],
            Value::Count(3),
        ),
        (
            &catalog::POLICY_WAITED,
            &[("policy", "concurrency")],
            Value::Count(5),
        ),
        (
            &catalog::POLICY_WAIT_TIME,
            &[("policy", "rate_limit")],
            Value::Number(0.5),
        ),
        (
            &catalog::POLICY_REJECTED,
            &[("policy", "circuit_breaker")],
            Value::Count(9),
        ),
        (
            &catalog::RETRY_BUDGET_LEFT,
            &[("policy", "retry")],
            Value::Count(4),
        ),
        (&catalog::HEDGE_WON, &[("policy", "hedge")], Value::Count(2)),
    ]);
}

#[test]
fn a_state_is_1_and_the_others_are_0() {
    let families = families(&[scene::pipeline(2)]);
    let is = |metric: &Metric, labels: &[(&str, &str)]| {
        figure(&families, metric, labels) == Some(Value::Count(1))
    };
    for phase in ["running", "paused", "draining", "stopped"] {
        let labels = [("phase", phase)];
        assert_eq!(is(&catalog::PIPELINE_PHASE, &labels), phase == "draining");
    }
    for state in ["closed", "open", "half_open"] {
        let labels = [("stage", "stage 1"), ("state", state)];
        assert_eq!(is(&catalog::BREAKER_STATE, &labels), state == "half_open");
    }
    for stage in ["stage 0", "stage 1"] {
        let labels = [("stage", stage)];
        assert_eq!(is(&catalog::STAGE_BOTTLENECK, &labels), stage == "stage 0");
    }
}

#[test]
fn a_stage_that_is_not_timed_has_no_times() {
    let mut status = Status::new("orders".into(), Phase::Running);
    let mut stage = StageStatus::new("parse".into(), "processor");
    stage.queue = Some(QueueStatus::default());
    status.stages.push(stage);
    let untimed = families(&[status.clone()]);
    let times = [
        &catalog::STAGE_DURATION,
        &catalog::STAGE_QUEUE_TIME,
        &catalog::STAGE_BUSY,
    ];
    assert!(
        times
            .iter()
            .all(|metric| figure(&untimed, metric, &[]).is_none())
    );
    status.stages[0].utilisation = Some(0.0);
    let measured = families(&[status]);
    assert!(
        times
            .iter()
            .all(|metric| figure(&measured, metric, &[]).is_some())
    );
}

#[test]
fn the_second_policy_of_a_kind_has_a_name_of_its_own() {
    let families = families(&[scene::pipeline(1)]);
    let timed_out = |policy| {
        let labels = [("policy", policy)];
        figure(&families, &catalog::TIMEOUT_TIMED_OUT, &labels)
    };
    assert_eq!(timed_out("timeout"), Some(Value::Count(1)));
    assert_eq!(timed_out("timeout_2"), Some(Value::Count(5)));
}

#[test]
fn no_series_is_there_twice_and_each_has_the_labels_of_its_metric() {
    let mut other = scene::pipeline(3);
    other.name = "returns".into();
    let families = families(&[scene::pipeline(3), other]);
    let mut seen = BTreeSet::new();
    for (name, sample) in series(&families) {
        assert!(
            seen.insert((name, &sample.labels)),
            "{name} {:?} twice",
            sample.labels
        );
    }
    for family in &families {
        for sample in &family.samples {
            let labels: Vec<_> = sample.labels.iter().map(|(name, _)| *name).collect();
            assert_eq!(labels, family.metric.labels, "{}", family.metric.name);
        }
    }
}

#[test]
fn the_number_of_series_is_proportional_to_the_number_of_stages() {
    let count = |stages| series(&families(&[scene::pipeline(stages)])).len();
    let (none, one) = (count(0), count(1));
    let each = one - none;
    for stages in [2, 5, 50] {
        assert_eq!(count(stages), none + stages * each);
    }
    assert!(
        none <= 40 && each <= 80,
        "{none} for a pipeline, {each} for a stage"
    );
}

#[tokio::test]
async fn every_metric_of_the_catalog_is_read_somewhere_and_in_its_order() {
    let mut all = exported("spans", 1, Some(2), &[("overflowed", 3)]);
    all.extend(metrics::runtime());
    all.extend(families(&[scene::pipeline(1)]));
    let all: Vec<_> = join(all).iter().map(|family| family.metric.name).collect();
    let catalog: Vec<_> = catalog::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(all, catalog);
}

#[test]
fn figures_of_several_places_are_one_family() {
    let lost = |signal| exported(signal, 1, None, &[("failed", 2)]);
    let families = join(lost("spans").into_iter().chain(lost("logs")));
    assert_eq!(families.len(), 2);
    let labels = [("signal", "logs")];
    assert_eq!(
        figure(&families, &catalog::TELEMETRY_LOST, &labels),
        Some(Value::Count(2))
    );
}

#[test]
fn a_histogram_has_the_same_buckets_before_its_first_figure() {
    let mut empty = scene::pipeline(1);
    empty.latency = Histogram::default().distribution();
    let bounds = |status| match figure(&families(&[status]), &catalog::PIPELINE_LATENCY, &[]) {
        Some(Value::Distribution {
            bounds,
            cumulative,
            count,
            ..
        }) => {
            assert_eq!(bounds.len(), cumulative.len());
            (bounds, count)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(bounds(empty), (Scale::Durations.bounds(), 0));
    assert_eq!(bounds(scene::pipeline(1)), (Scale::Durations.bounds(), 1));
}

proptest! {
    #[test]
    fn what_is_counted_below_an_end_is_exact(
        figures in vec(prop_oneof![0..200_u64, 0..1_u64 << 38], 0..50),
    ) {
        let histogram = Histogram::default();
        for figure in &figures { histogram.add_figure(*figure, 1); }
        let kinds = catalog::ALL.iter().map(|metric| metric.kind);
        let scales: Vec<_> = kinds
            .filter_map(|kind| if let Kind::Histogram(scale) = kind { Some(scale) } else { None })
            .collect();
        for scale in scales {
            let Value::Distribution { bounds, cumulative, count, .. } =
                Value::distribution(scale, &histogram.distribution())
            else {
                panic!("a distribution is one");
            };
            for (bound, counted) in bounds.iter().zip(cumulative) {
                let below = figures.iter().filter(|figure| scale.in_unit(**figure) <= *bound);
                prop_assert_eq!(below.count() as u64, counted);
            }
            prop_assert_eq!(figures.len() as u64, count);
        }
    }
}
