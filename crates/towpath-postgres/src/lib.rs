//! A queue in a table of PostgreSQL, as a source, and tables as sinks.
//!
//! [`PostgresQueue`] puts messages in, also as a part of your own transactions;
//! [`PostgresSource`] takes them out, [`PostgresSink`] writes rows. The guide is in
//! `docs/postgres.md`.
//!
//! ```no_run
//! use towpath::prelude::*;
//! use towpath_postgres::{
//!     Once, PostgresMessage, PostgresSink, PostgresSinkOptions, PostgresSource,
//!     PostgresSourceOptions, Row,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let url = "postgres://shop@localhost/shop";
//! let jobs = PostgresSource::new(PostgresSourceOptions::new(url, "jobs"))?;
//! let options = PostgresSinkOptions::copy_into(url, "shipments", ["order", "note"])
//!     .once(Once::new("jobs"));
//! let mut shipments = PostgresSink::new(options, |job: &PostgresMessage, row: &mut Row<'_>| {
//!     row.add(job.id).add(String::from_utf8_lossy(&job.payload).as_ref());
//! })?;
//! shipments.create_applied().await?;
//! let report = Flow::from(Source::new("jobs", jobs))
//!     .batch(Batcher::new("rows").max_messages(500))
//!     .sink(SinkStage::of("shipments", shipments))
//!     .require(Guarantee::EffectivelyOnce)
//!     .run()
//!     .await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! enqueue ──▶ ┌──────┐ ◀── claim up to the room there is ── PostgresSource ──▶ ...
//! enqueue_in  │ jobs │ ──▶ lent, with a number ────────────────▶     ▲
//!             └──────┘ ◀── settle or extend, by that number ─────────┘
//!
//! ... ──▶ PostgresSink ──▶ BEGIN, who is new?, COPY, COMMIT: a row that is refused fails alone
//! ```
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `tls` | connections by TLS, with the certificates of the system or a file |

mod error;
mod link;
mod queue;
mod server;
mod sink;
mod source;
mod table;

pub use error::PostgresError;
pub use queue::{Entry, PostgresQueue, PostgresQueueOptions, queue_schema};
pub use server::PostgresOptions;
pub use sink::{Once, PostgresSink, PostgresSinkOptions, Row, Target, applied_schema};
pub use source::{
    PostgresAcknowledger, PostgresMessage, PostgresSource, PostgresSourceOptions, PostgresToken,
    WhenDone,
};
pub use table::Table;
/// The client: its transactions and the types of its values are in this crate's own signatures.
pub use tokio_postgres;

/// The examples of the guide are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/postgres.md")]
mod guide {}
