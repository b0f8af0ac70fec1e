//! A real Prometheus asks real pipelines, and says of them what their reports say.
//!
//! In real time, on threads: what is proved here is what a user finds in Prometheus.
#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "shared_prometheus/alerts.rs"]
mod alerts;
#[path = "shared_prometheus/dashboard.rs"]
mod dashboard;
#[path = "shared_prometheus/everything.rs"]
mod everything;
#[path = "shared_prometheus/totals.rs"]
mod totals;
#[path = "shared_prometheus/watch.rs"]
mod watch;

use std::{path::PathBuf, time::Duration};

/// For what is certain to come.
const PATIENCE: Duration = Duration::from_secs(60);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A file of those that users import.
fn observability(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/observability");
    folder.join(name)
}
