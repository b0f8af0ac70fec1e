//! What became of what telemetry itself had to send or to write.

use super::{Collector, Family, Labels};
use crate::{events::EventLog, metrics::catalog};

/// What became of what there was to send of a signal (`spans`, `logs`, `metrics`): how much the
/// collector has taken, how much waits (`None` if nobody knows), and how much was lost for which
/// reason.
///
/// Signals and reasons become labels: words of a fixed list, please.
pub fn exported(
    signal: &str,
    sent: u64,
    waiting: Option<u64>,
    lost: &[(&str, u64)],
) -> Vec<Family> {
    let mut into = Collector::default();
    let labels = Labels::default().with("signal", signal);
    into.count(&catalog::TELEMETRY_EXPORTED, &labels, sent);
    if let Some(waiting) = waiting {
        into.count(&catalog::TELEMETRY_WAITING, &labels, waiting);
    }
    for (reason, count) in lost {
        let labels = labels.with("reason", *reason);
        into.count(&catalog::TELEMETRY_LOST, &labels, *count);
    }
    into.families()
}

/// What became of the events that were to be written to files; nothing if none are.
pub(crate) fn events(log: &EventLog) -> Vec<Family> {
    let Some(files) = log.files() else {
        return Vec::new();
    };
    let lost = [("overflowed", files.lost), ("failed", files.failed)];
    exported("events", files.written, None, &lost)
}
