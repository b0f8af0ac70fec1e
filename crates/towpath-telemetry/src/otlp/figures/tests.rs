//! Figures as OTLP has them.

use opentelemetry_proto::tonic::metrics::v1::{
    Metric, metric::Data, number_data_point::Value as Number,
};
use std::time::Duration;

use towpath_core::{Distribution, Histogram, Phase, StageName, Status};

use super::*;
use crate::metrics::{Family, Kind, Sample, Scale, Value};

fn metric(kind: Kind) -> &'static crate::metrics::Metric {
    let mut all = crate::metrics::catalog::ALL.iter().copied();
    all.find(|metric| metric.kind == kind).unwrap()
}

fn encoded(family: Family) -> Metric {
    let resource = ResourceAttributesWithSchema::default();
    let request = encode::request(vec![family], &resource, &Starts::new(5), 9);
    let [mut resource] = <[_; 1]>::try_from(request.resource_metrics).unwrap();
    resource.scope_metrics.remove(0).metrics.remove(0)
}

#[test]
fn a_counter_is_a_cumulative_sum_that_only_grows_since_the_start() {
    let labels = vec![("pipeline", "p".to_owned())];
    let of = metric(Kind::Counter);
    let counter = encoded(Family::new(of, vec![Sample::new(labels, Value::Count(7))]));
    let names = (counter.name.as_str(), counter.unit.as_str());
    assert_eq!(names, (of.name, of.unit));
    let Some(Data::Sum(sum)) = counter.data else {
        panic!("no sum");
    };
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality, 2, "cumulative");
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(Number::AsInt(7)));
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 9));
    assert_eq!(point.attributes[0].key, "pipeline");
}

#[test]
fn what_goes_up_and_down_is_a_sum_that_does_not_only_grow_and_a_gauge_is_a_gauge() {
    let sum = encoded(Family::single(metric(Kind::UpDown), Value::Count(1)));
    assert!(matches!(sum.data, Some(Data::Sum(sum)) if !sum.is_monotonic));
    let gauge = encoded(Family::single(metric(Kind::Gauge), Value::Number(0.5)));
    let Some(Data::Gauge(gauge)) = gauge.data else {
        panic!("no gauge");
    };
    assert_eq!(gauge.data_points[0].value, Some(Number::AsDouble(0.5)));
}

#[test]
fn a_histogram_has_what_is_in_each_bucket_and_beyond_the_last() {
    let scale = Scale::Sizes;
    let histogram = Histogram::default();
    for (figure, count) in [(1, 2), (2, 3), (1 << 40, 4)] {
        histogram.add_figure(figure, count);
    }
    let read: Distribution = histogram.distribution();
    let value = Value::distribution(scale, &read);
    let metric = encoded(Family::single(metric(Kind::Histogram(scale)), value));
    let Some(Data::Histogram(histogram)) = metric.data else {
        panic!("no histogram");
    };
    let point = &histogram.data_points[0];
    assert_eq!(point.explicit_bounds, scale.bounds());
    assert_eq!(point.bucket_counts.len(), scale.bounds().len() + 1);
    assert_eq!(point.bucket_counts[..2], [2, 3]);
    assert_eq!(point.bucket_counts.last(), Some(&4));
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
    assert_eq!(point.count, 9);
}

#[test]
fn a_metric_without_figures_is_left_out() {
    let family = Family::new(metric(Kind::Counter), Vec::new());
    let resource = ResourceAttributesWithSchema::default();
    let request = encode::request(vec![family], &resource, &Starts::new(5), 9);
    let scope = &request.resource_metrics[0].scope_metrics[0];
    assert!(scope.metrics.is_empty());
}

fn running(elapsed: u64) -> Vec<Status> {
    let mut status = Status::new(StageName::from("p"), Phase::Running);
    status.elapsed = Duration::from_nanos(elapsed);
    vec![status]
}

#[test]
fn a_pipeline_counts_since_it_began_and_one_of_the_same_name_since_that_began() {
    let labels = [("pipeline", "p".to_owned())];
    let mut starts = Starts::new(1);
    assert_eq!(starts.of(&labels), 1, "not known");
    starts.note(&running(40), 100);
    assert_eq!(starts.of(&labels), 60);
    starts.note(&running(50), 111);
    assert_eq!(starts.of(&labels), 60, "clocks that differ do not move it");
    starts.note(&running(50), 500);
    assert_eq!(starts.of(&labels), 60, "nor does its end");
    starts.note(&running(10), 1_000);
    assert_eq!(starts.of(&labels), 990, "another one");
    starts.note(&[], 1_001);
    assert_eq!(starts.of(&labels), 1, "forgotten");
    assert_eq!(
        starts.of(&[]),
        1,
        "what has no pipeline counts since the exporter began"
    );
}
