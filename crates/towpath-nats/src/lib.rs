//! NATS JetStream as source and sink.
//!
//! [`JetStreamSource`] receives from a durable pull consumer, [`JetStreamSink`] publishes
//! [`Publish`]es. Both connect when the pipeline runs, connect again when the server was away,
//! and wait for the server to confirm what they say. The guide is in `docs/nats.md`.
//!
//! ```no_run
//! use towpath::prelude::*;
//! use towpath_nats::{JetStreamMessage, JetStreamSink, JetStreamSource, Publish};
//!
//! # async fn run() -> Result<(), BoxError> {
//! let orders = JetStreamSource::pull("nats://localhost:4222", "ORDERS", "shouter")?;
//! let loud = JetStreamSink::publish("nats://localhost:4222")?;
//! let shout = Processor::new("shout", |order: JetStreamMessage| async move {
//!     let text = String::from_utf8_lossy(&order.payload).to_uppercase();
//!     Ok::<_, BoxError>(Publish::new("loud.orders", text))
//! });
//! let report = Flow::from(Source::new("orders", orders))
//!     .process(shout.unordered(8))
//!     .batch(Batcher::new("collect").max_messages(100))
//!     .sink(SinkStage::of::<Publish>("loud", loud))
//!     .run()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!             pull requests for as many as there is room
//!   stream ◀────────────────────────────────────────────── JetStreamSource ──▶ ...
//!      │   ──── messages ────────────────────────────────▶        ▲
//!      ◀─────── outcomes, confirmed; "still at it" ───────────────┘
//!
//!   ... ──▶ JetStreamSink ──── messages with ids ────▶ stream
//!                ▲ ◀──────────── confirmed ────────────┘
//! ```

#[cfg(doctest)]
#[doc = include_str!("../../../docs/nats.md")]
mod guide {}

mod connection;
mod delivery_info;
mod error;
mod headers;
mod lanes;
mod message;
mod names;
mod options;
mod publish;
mod replies;
mod sink;
mod sink_options;
mod source;
mod source_options;

pub use error::NatsError;
pub use lanes::{lane_of, lane_subject};
pub use message::JetStreamMessage;
pub use options::{NatsOptions, Servers, TlsOptions};
pub use publish::Publish;
pub use sink::{JetStreamSink, Unpublishable};
pub use sink_options::JetStreamSinkOptions;
pub use source::{JetStreamAcknowledger, JetStreamSource, JetStreamToken};
pub use source_options::{DeliverFrom, JetStreamSourceOptions, Lanes};
