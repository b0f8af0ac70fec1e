//! Kafka as source and sink of Towpath: a member of a consumer group, and an idempotent producer.
//!
//! ```no_run
//! use towpath::{BoxError, Flow, Processor, SinkStage, Source};
//! use towpath_kafka::{KafkaRecord, KafkaSink, KafkaSinkOptions, KafkaSource, KafkaSourceOptions, Record};
//!
//! # async fn run() -> Result<(), BoxError> {
//! let source = KafkaSource::new(KafkaSourceOptions::new("localhost:9092", "billing", ["orders"]))?;
//! let sink = KafkaSink::new(KafkaSinkOptions::new("localhost:9092").topic("invoices"))?;
//! let invoice = Processor::new("invoice", |order: KafkaRecord| async move {
//!     Ok::<_, BoxError>(Record::new(order.payload.unwrap_or_default()))
//! });
//! let report = Flow::from(Source::new("orders", source))
//!     .process(invoice)
//!     .sink(SinkStage::of::<Record>("invoices", sink))
//!     .run()
//!     .await?;
//! # drop(report);
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!             ┌ thread: events ────────────────┐
//!   brokers ─▶│ rebalance, errors, figures     │
//!             └────────────────────────────────┘
//!   brokers ─▶ one queue per partition ─▶ KafkaSource::receive   (asked for what is wanted)
//!             ┌ thread: commits ───────────────┐
//!   brokers ◀─│ contiguous, confirmed          │◀─ outcomes
//!             └────────────────────────────────┘
//! ```
//!
//! # Constraints
//! - A source belongs to one consumer group; topics are named, never patterns.
//! - Per partition at most 50 000 messages are beyond the last commit, and about 4 MiB is
//!   fetched ahead, unless said otherwise.
//! - What is given back is delivered again in this process until it is done or rejected; its
//!   partition is not committed over it.

#[cfg(doctest)]
#[doc = include_str!("../../../docs/kafka.md")]
mod guide {}

mod error;
mod lock;
mod options;
mod outgoing;
mod record;
mod sink;
mod source;
mod text;

pub use error::KafkaError;
pub use options::{
    Assignment, Compression, KafkaSinkOptions, KafkaSourceOptions, Mechanism, Protocol, Security,
    Start,
};
pub use outgoing::Record;
pub use record::{KafkaHeaders, KafkaRecord};
pub use sink::KafkaSink;
pub use source::{KafkaAcknowledger, KafkaSource, KafkaToken, Oldest, Unsettled};
