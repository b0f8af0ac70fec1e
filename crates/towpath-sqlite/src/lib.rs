//! A durable local queue on SQLite, as source and sink; and a sink that writes to any table.

mod clock;
mod connection;
mod error;
mod queue;
mod sink;
mod source;
mod sync;
mod worker;

pub use error::{SqliteError, SqliteErrorKind};
pub use queue::{Depth, Enqueued, Entry, QueueError, QueueOptions, SqliteQueue};
pub use sink::{
    Bind, BindError, Bound, IdentityError, QueueSink, RefusedRow, SinkError, SinkOptions,
    SqliteSink, Value,
};
pub use source::{QueueAcknowledger, QueueToken, Queued, SourceOptions, SqliteSource};
pub use sync::Sync;
