//! The catalog keeps to its own rules.

mod still;

use std::collections::BTreeSet;

use super::*;

pub(crate) use still::Still;

fn is_snake_case(word: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c == '_';
    !word.is_empty() && word.chars().all(letters) && !word.starts_with('_') && !word.ends_with('_')
}

#[test]
fn names_in_prometheus_follow_from_unit_and_kind() {
    let name = |metric: &Metric| metric.prometheus_name();
    assert_eq!(
        name(&catalog::STAGE_DURATION),
        "towpath_stage_duration_seconds"
    );
    assert_eq!(
        name(&catalog::STAGE_BUSY),
        "towpath_stage_busy_seconds_total"
    );
    assert_eq!(name(&catalog::STAGE_SENT), "towpath_stage_sent_total");
    assert_eq!(
        name(&catalog::STAGE_UTILIZATION),
        "towpath_stage_utilization_ratio"
    );
    assert_eq!(name(&catalog::QUEUE_DEPTH), "towpath_queue_depth");
    assert_eq!(name(&catalog::BATCH_SIZE), "towpath_batch_size");
    assert_eq!(
        name(&catalog::RATE_LIMIT_CALLS),
        "towpath_rate_limit_calls_per_second"
    );
}

#[test]
fn a_suffix_that_the_name_has_already_is_not_added_again() {
    let metric = |name, unit, kind| Metric {
        name,
        unit,
        kind,
        ..catalog::QUEUE_DEPTH
    };
    let total = metric("towpath.bytes.total", "{thing}", Kind::Counter);
    assert_eq!(total.prometheus_name(), "towpath_bytes_total");
    let bytes = metric("towpath.batch.bytes", "By", Kind::UpDown);
    assert_eq!(bytes.prometheus_name(), "towpath_batch_bytes");
}

#[test]
fn no_two_metrics_or_series_of_histograms_have_one_name() {
    let mut names = BTreeSet::new();
    for metric in catalog::ALL {
        let name = metric.prometheus_name();
        assert!(names.insert(name.clone()), "{name} twice");
        if matches!(metric.kind, Kind::Histogram(_)) {
            let parts = ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}"));
            names.extend(parts);
        }
    }
}

#[test]
fn names_labels_and_help_are_well_formed() {
    for metric in catalog::ALL {
        let words: Vec<_> = metric.name.split('.').collect();
        assert_eq!(words[0], "towpath", "{}", metric.name);
        assert_eq!(words.len(), 3, "{}", metric.name);
        assert!(
            words
                .iter()
                .chain(metric.labels)
                .all(|word| is_snake_case(word)),
            "{metric:?}"
        );
        let labels: BTreeSet<_> = metric.labels.iter().collect();
        assert_eq!(labels.len(), metric.labels.len(), "{metric:?}");
        assert!(!labels.contains(&"le"), "{metric:?}");
        assert!(metric.help.ends_with('.'), "{metric:?}");
    }
}

#[test]
fn durations_resolve_a_microsecond_to_a_minute() {
    let bounds = Scale::Durations.bounds();
    assert!(bounds[0] > 1e-6 && bounds[0] < 1.1e-6, "{bounds:?}");
    assert!(bounds[bounds.len() - 1] > 60.0, "{bounds:?}");
    assert!(
        bounds.is_sorted_by(|a, b| b / a < 2.01 && a < b),
        "{bounds:?}"
    );
}

#[test]
fn a_monitor_writes_the_figures_of_its_pipelines() {
    let monitor = Monitor::new();
    let pipeline = Still::watched_by(&monitor);
    assert!(
        monitor
            .prometheus()
            .contains("towpath_pipeline_emitted_total{pipeline=\"orders\"} 100\n")
    );
    pipeline.change(|status| status.counts.emitted = 101);
    assert!(
        monitor
            .prometheus()
            .contains("towpath_pipeline_emitted_total{pipeline=\"orders\"} 101\n")
    );
    assert!(
        !monitor.prometheus().contains("towpath_tokio"),
        "there is no runtime here"
    );
}

#[tokio::test]
async fn a_monitor_in_a_runtime_shows_its_figures() {
    let page = Monitor::new().prometheus();
    assert!(page.contains("\ntowpath_tokio_workers 1\n"), "{page}");
    assert!(page.contains("\ntowpath_tokio_alive_tasks 0\n"), "{page}");
}
