//! The facade of Towpath: one crate to depend on.
#![doc = include_str!("../../../README.md")]

pub mod prelude;

/// The examples of the guide are compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/policies.md")]
mod guide_to_policies {}

pub use towpath_batcher as batcher;
pub use towpath_connector as connector;
pub use towpath_core as core;
#[cfg(feature = "kafka")]
pub use towpath_kafka as kafka;
#[cfg(feature = "nats")]
pub use towpath_nats as nats;
pub use towpath_options as options;
pub use towpath_policy as policy;
#[cfg(feature = "postgres")]
pub use towpath_postgres as postgres;
pub use towpath_processor as processor;
pub use towpath_producer as producer;
pub use towpath_runtime as runtime;
#[cfg(feature = "sqlite")]
pub use towpath_sqlite as sqlite;
#[cfg(feature = "telemetry")]
pub use towpath_telemetry as telemetry;

pub use towpath_core::trace;

pub use towpath_batcher::{Batcher, Close, SinkStage, each, mapped, write};
pub use towpath_core::{
    Batch, BatchInfo, BoxError, BreakerState, Cause, Counts, DeadLetter, Delivery, Event,
    EventKind, Failure, ForcedBreaker, Guarantee, Headers, Identity, Message, Observer, Origin,
    Outcome, PolicyStatus, Position, Reason, SettleOptions, Sink, StageName, Trigger, Verdicts,
    Written,
};
pub use towpath_policy::{
    CircuitBreaker, Class, Classify, Concurrency, Deadline, Dedup, Fallback, Hedge, Jitter,
    MapConcurrent, Policies, Rate, RateLimit, Retry, RetryAfter, Timeout,
    context::{attempt, deadline},
};
pub use towpath_processor::{Call, Processor};
#[cfg(feature = "files")]
pub use towpath_producer::{Csv, CsvRow, Line, Lines, NdJson, json_line};
pub use towpath_producer::{Ingress, IngressHandle, Overflow, PushError, Source};
#[cfg(feature = "signal")]
pub use towpath_runtime::shutdown_signal;
pub use towpath_runtime::{
    BuildError, Delivered, Ending, Flow, Phase, Pipeline, PipelineHandle, Report, Restarts,
    RunError, Running, Status, Strategy, find, running,
};
