//! A durable queue in a local file, as source and sink, and tables of SQLite as sinks.
//!
//! [`SqliteQueue`] takes messages from any thread and process, [`SqliteSource`] works on them,
//! [`SqliteQueueSink`] ends a pipeline where the next one begins, and [`SqliteSink`] writes rows.
//! There is no server. The guide is in `docs/sqlite.md`.
//!
//! ```
//! use towpath::prelude::*;
//! use towpath_sqlite::{SqliteMessage, SqliteQueue, SqliteQueueOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("orders.queue");
//! let queue = SqliteQueue::open(path, SqliteQueueOptions::default())?;
//! queue.enqueue_many(["apples", "pears"]).await?;
//!
//! let work = Processor::new("work", |order: SqliteMessage| async move {
//!     println!("{}", String::from_utf8_lossy(&order.payload));
//!     Ok::<_, BoxError>(())
//! });
//! let pipeline = Flow::from(Source::new("orders", queue.source())).process(work).acknowledge();
//! let running = pipeline.start().await?;
//! while queue.depth().await?.messages > 0 {
//!     tokio::task::yield_now().await;
//! }
//! running.handle().drain();
//! let report = running.join().await?;
//! assert_eq!(report.counts.done, 2);
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!  enqueue ──▶ ┌───────────────┐ ◀── claim up to the room there is ── SqliteSource ──▶ ...
//!  any thread, │ orders.queue  │ ──▶ lent, with a number ───────────▶      ▲
//!  any process └───────────────┘ ◀── settle or extend, by that number ─────┘
//!
//!  ... ──▶ SqliteQueueSink ──▶ another queue
//!  ... ──▶ SqliteSink ──▶ a table: one transaction per batch, a row that is refused fails alone
//! ```

#[cfg(doctest)]
#[doc = include_str!("../../../docs/sqlite.md")]
mod guide {}

mod clock;
mod connection;
mod error;
mod queue;
mod sink;
mod source;
mod sync;
mod worker;

pub use error::{SqliteError, SqliteErrorKind};
pub use queue::{Depth, Enqueued, Entry, SqliteQueue, SqliteQueueError, SqliteQueueOptions};
pub use sink::{
    Bind, BindError, Bound, IdentityError, RefusedRow, SqliteQueueSink, SqliteSink,
    SqliteSinkError, SqliteSinkOptions, Value,
};
pub use source::{
    SqliteAcknowledger, SqliteMessage, SqliteSource, SqliteSourceOptions, SqliteToken,
};
pub use sync::Sync;
