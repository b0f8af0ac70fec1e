//! What a provider's readers see is what the monitor says.

use std::collections::BTreeMap;

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
    data::{
        AggregatedMetrics, GaugeDataPoint, MetricData, ResourceMetrics, ScopeMetrics, SumDataPoint,
    },
};

use super::*;
use crate::metrics::tests::Still;

/// The first figure of each instrument.
fn figures(collected: &ResourceMetrics) -> BTreeMap<String, String> {
    let metrics = collected.scope_metrics().flat_map(ScopeMetrics::metrics);
    metrics
        .map(|metric| (metric.name().to_owned(), first(metric.data())))
        .collect()
}

fn first(data: &AggregatedMetrics) -> String {
    match data {
        AggregatedMetrics::U64(data) => first_of(data).map(|value| value.to_string()),
        AggregatedMetrics::I64(data) => first_of(data).map(|value| value.to_string()),
        AggregatedMetrics::F64(data) => first_of(data).map(|value| value.to_string()),
    }
    .unwrap_or_default()
}

fn first_of<T: Copy>(data: &MetricData<T>) -> Option<T> {
    match data {
        MetricData::Sum(sum) => sum.data_points().next().map(SumDataPoint::value),
        MetricData::Gauge(gauge) => gauge.data_points().next().map(GaugeDataPoint::value),
        _ => None,
    }
}

#[tokio::test]
async fn each_collection_shows_the_figures_of_its_moment() {
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let monitor = Monitor::new();
    let pipeline = Still::watched_by(&monitor);
    observe(&provider.meter("towpath"), &monitor);

    provider.force_flush().unwrap();
    pipeline.change(|status| status.counts.emitted += 1);
    provider.force_flush().unwrap();

    let collected = exporter.get_finished_metrics().unwrap();
    let [before, after] = [&collected[0], &collected[1]].map(figures);
    assert_eq!(before["towpath.pipeline.emitted"], "100");
    assert_eq!(after["towpath.pipeline.emitted"], "101");
    assert_eq!(after["towpath.pipeline.in_flight"], "15");
    assert_eq!(after["towpath.stage.utilization"], "0.5");
    assert_eq!(after["towpath.stage.busy"], "45");
    assert_eq!(after["towpath.pipeline.latency.count"], "1");
    assert_eq!(after["towpath.pipeline.latency.sum"], "1");
    assert_eq!(after["towpath.tokio.workers"], "1");
}
