//! Queue, source and sink against a PostgreSQL of their own.
//!
//! One server for all tests that leave it alone, with a schema for each; servers of their own
//! for those that kill, freeze or cut off theirs. `cargo xtask services` puts it in place.

#[path = "shared_postgres/pipeline.rs"]
mod pipeline;
#[path = "shared_postgres/place.rs"]
mod place;
