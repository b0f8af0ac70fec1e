//! Traces, metrics, events and health of Towpath's pipelines.
//!
//! A [`Monitor`] looks after any number of pipelines: it reads their figures without costing
//! them anything, keeps the log of their events, and chooses the messages that are traced.

pub mod events;
pub mod health;
#[cfg(test)]
mod listener;
pub mod metrics;
mod monitor;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(feature = "traces")]
pub mod traces;

pub use events::EventLog;
pub use monitor::{Monitor, Tracers};
#[cfg(feature = "otlp")]
pub use otlp::Otlp;

/// The examples of the guide are compiled and run with the tests.
#[cfg(all(doctest, feature = "http", feature = "otlp"))]
#[doc = include_str!("../../../docs/observability.md")]
mod guide_to_observability {}
