//! Figures as OTLP has them.

use opentelemetry_proto::{
    tonic::{
        collector::metrics::v1::ExportMetricsServiceRequest,
        common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
        metrics::v1::{
            AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
            ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
        },
        resource::v1::Resource,
    },
    transform::common::tonic::ResourceAttributesWithSchema,
};

use super::starts::Starts;
use crate::metrics::{Family, Kind, Sample, Value};

/// Sums since the pipelines began.
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// When figures were read, and since when they are counted.
#[derive(Clone, Copy)]
struct Times<'a> {
    starts: &'a Starts,
    now: u64,
}

/// One request with all families that have figures.
pub(super) fn request(
    families: Vec<Family>,
    resource: &ResourceAttributesWithSchema,
    starts: &Starts,
    now: u64,
) -> ExportMetricsServiceRequest {
    let times = Times { starts, now };
    let filled = families.into_iter().filter(|f| !f.samples.is_empty());
    let scope_metrics = ScopeMetrics {
        scope: Some(scope()),
        metrics: filled.map(|family| metric(family, times)).collect(),
        schema_url: String::new(),
    };
    let resource_metrics = ResourceMetrics {
        resource: Some(Resource {
            attributes: resource.attributes.0.clone(),
            ..Resource::default()
        }),
        scope_metrics: vec![scope_metrics],
        schema_url: resource.schema_url.clone().unwrap_or_default(),
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![resource_metrics],
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: crate::traces::names::SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn metric(family: Family, times: Times<'_>) -> Metric {
    let of = family.metric;
    Metric {
        name: of.name.to_owned(),
        description: of.help.to_owned(),
        unit: of.unit.to_owned(),
        data: Some(data(of.kind, family.samples, times)),
        ..Metric::default()
    }
}

fn data(kind: Kind, samples: Vec<Sample>, times: Times<'_>) -> Data {
    match kind {
        Kind::Counter | Kind::UpDown => Data::Sum(Sum {
            data_points: numbers(samples, times),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: kind == Kind::Counter,
        }),
        Kind::Gauge => Data::Gauge(Gauge {
            data_points: numbers(samples, times),
        }),
        Kind::Histogram(_) => Data::Histogram(Histogram {
            data_points: samples
                .into_iter()
                .filter_map(|sample| distribution(sample, times))
                .collect(),
            aggregation_temporality: CUMULATIVE,
        }),
    }
}

fn numbers(samples: Vec<Sample>, times: Times<'_>) -> Vec<NumberDataPoint> {
    let points = samples.into_iter().filter_map(|sample| {
        let value = match sample.value {
            Value::Count(count) => {
                number_data_point::Value::AsInt(count.try_into().unwrap_or(i64::MAX))
            }
            Value::Number(number) => number_data_point::Value::AsDouble(number),
            Value::Distribution { .. } => return None,
        };
        Some(NumberDataPoint {
            start_time_unix_nano: times.starts.of(&sample.labels),
            time_unix_nano: times.now,
            attributes: attributes(sample.labels),
            value: Some(value),
            ..NumberDataPoint::default()
        })
    });
    points.collect()
}

fn distribution(sample: Sample, times: Times<'_>) -> Option<HistogramDataPoint> {
    let Value::Distribution {
        bounds,
        cumulative,
        sum,
        count,
    } = sample.value
    else {
        return None;
    };
    Some(HistogramDataPoint {
        start_time_unix_nano: times.starts.of(&sample.labels),
        time_unix_nano: times.now,
        attributes: attributes(sample.labels),
        count,
        sum: Some(sum),
        bucket_counts: single(&cumulative, count),
        explicit_bounds: bounds.to_vec(),
        ..HistogramDataPoint::default()
    })
}

/// What is in each bucket, from what is below the end of each, and in all.
fn single(cumulative: &[u64], count: u64) -> Vec<u64> {
    let mut below = 0;
    let ends = cumulative.iter().copied().chain([count]);
    ends.map(|end| {
        let within = end.saturating_sub(below);
        below = end;
        within
    })
    .collect()
}

fn attributes(labels: Vec<(&'static str, String)>) -> Vec<KeyValue> {
    let attributes = labels.into_iter().map(|(name, value)| KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value)),
        }),
        ..KeyValue::default()
    });
    attributes.collect()
}
