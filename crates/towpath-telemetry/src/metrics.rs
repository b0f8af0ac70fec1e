//! Figures of pipelines as metrics, for Prometheus, OpenTelemetry and people.
//!
//! What the engine counts anyway is the truth: every metric is read from the
//! [`Status`] of a pipeline when somebody asks, and none is recorded a
//! second time. The [`catalog`] lists all of them; `docs/metrics.md` is made from it.
//!
//! ```
//! use towpath_telemetry::{Monitor, metrics};
//!
//! let monitor = Monitor::new();
//! let page = monitor.prometheus();
//! assert_eq!(page, metrics::prometheus(&metrics::families(&monitor.statuses())));
//! ```

pub mod catalog;
mod family;
mod metric;
#[cfg(feature = "meter")]
mod observe;
mod prometheus;
mod read;
mod reference;
mod runtime;

pub use family::{Extra, Family, Sample, Value};
pub use metric::{Kind, Metric, Scale};
#[cfg(feature = "meter")]
pub use observe::observe;
pub use prometheus::{CONTENT_TYPE, prometheus};
pub use read::{exported, families, join};
pub use reference::reference;
pub use runtime::runtime;

use towpath_core::Status;

use crate::Monitor;

impl Monitor {
    /// All figures at this moment: of its pipelines, of the event log where it is written to
    /// files, of the tokio runtime that asks, and what is [shown](Self::show) beside them.
    pub fn families(&self) -> Vec<Family> {
        self.families_of(&self.statuses(), runtime())
    }

    /// As [`families`](Self::families), where it is known how pipelines and runtime are doing.
    pub(crate) fn families_of(&self, statuses: &[Status], runtime: Vec<Family>) -> Vec<Family> {
        let mut families = families(statuses);
        families.extend(runtime);
        families.extend(read::events(self.events()));
        for extra in self.extras() {
            families.extend(extra.families());
        }
        join(families)
    }

    /// All figures at this moment in the text format of Prometheus; its content type is
    /// [`CONTENT_TYPE`].
    pub fn prometheus(&self) -> String {
        prometheus(&self.families())
    }
}

#[cfg(test)]
mod tests;
