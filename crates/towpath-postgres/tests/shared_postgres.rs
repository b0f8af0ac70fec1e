//! Queue, source and sink against a PostgreSQL of their own.
//!
//! One server for all tests that leave it alone, with a schema for each; servers of their own
//! for those that kill, freeze or cut off theirs. `cargo xtask services` puts it in place.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; the lint knows only the functions marked as such"
)]

#[path = "shared_postgres/claims.rs"]
mod claims;
#[path = "shared_postgres/example.rs"]
mod example;
#[path = "shared_postgres/once.rs"]
mod once;
#[path = "shared_postgres/pipeline.rs"]
mod pipeline;
#[path = "shared_postgres/place.rs"]
mod place;
#[path = "shared_postgres/queue.rs"]
mod queue;
#[path = "shared_postgres/refused.rs"]
mod refused;
#[path = "shared_postgres/settings.rs"]
mod settings;
#[path = "shared_postgres/sink.rs"]
mod sink;
#[path = "shared_postgres/source.rs"]
mod source;
#[path = "shared_postgres/take.rs"]
mod take;
