//! A table queue and a transactional sink on PostgreSQL.

mod error;
mod link;
mod queue;
mod server;
mod sink;
mod source;
mod table;

pub use error::PostgresError;
pub use queue::{Entry, PostgresQueue, QueueOptions, queue_schema};
pub use server::Server;
pub use sink::{Once, PostgresSink, Row, SinkOptions, Target, applied_schema};
pub use source::{
    Job, PostgresAcknowledger, PostgresSource, PostgresToken, SourceOptions, WhenDone,
};
pub use table::Table;
