//! `docs/metrics.md` says what the catalog says.
//!
//! `UPDATE=1 cargo test -p towpath-telemetry --test reference` writes it anew.

use std::{env, fs, path::PathBuf};

use towpath_telemetry::metrics;

#[test]
fn the_reference_of_the_metrics_is_up_to_date() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let expected = metrics::reference();
    if env::var_os("UPDATE").is_some() {
        fs::write(&file, &expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "docs/metrics.md is out of date; renew it with \
         `UPDATE=1 cargo test -p towpath-telemetry --test reference`"
    );
}

#[test]
fn the_reference_holds_each_metric_once() {
    let reference = metrics::reference();
    for metric in metrics::catalog::ALL {
        let row = format!("\n| `{}` | `{}` |", metric.name, metric.prometheus_name());
        assert_eq!(reference.matches(&row).count(), 1, "{row}");
    }
}
