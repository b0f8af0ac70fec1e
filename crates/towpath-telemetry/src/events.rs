//! The log of what happened in pipelines: the last events, asked for or heard, and kept on disk.
//!
//! A [`Monitor`](crate::Monitor) has an [`EventLog`] that every pipeline reports to. It holds
//! the last records in memory, answers a [`Query`], and tells a [`Subscription`] what comes.
//! [`EventFiles`] keep it on disk as lines of JSON, which [`read`] gives back. Each event is
//! an event of `tracing` too, with its pipeline and stage as fields.
//!
//! ```
//! use std::time::Duration;
//! use towpath_core::{Event, EventKind};
//! use towpath_telemetry::events::{EventLog, Query};
//!
//! let log = EventLog::new();
//! let orders = log.observer(&"orders".into());
//! orders.event(&Event::new(Duration::ZERO, "orders".into(), EventKind::Started));
//! orders.event(&Event::new(Duration::from_secs(2), "orders".into(), EventKind::Paused));
//!
//! let paused = log.query(&Query::new().pipeline("orders").kind("paused"));
//! assert_eq!((paused.len(), paused[0].number), (1, 2));
//! ```

mod file;
mod log;
mod query;
mod record;
mod rings;
mod subscription;
mod telling;
mod timestamp;

pub use file::{EventFiles, FileCounts, Reading, Saved, read};
pub use log::EventLog;
pub use query::Query;
pub use record::Record;
pub use subscription::{Heard, Subscription};
pub use timestamp::{Timestamp, TimestampError};
