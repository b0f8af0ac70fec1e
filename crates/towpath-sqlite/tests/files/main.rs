//! Queues and tables in real files: pipelines over them, what can be wrong with them, and
//! processes that share them and are killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod faults;
mod pipelines;
mod processes;
mod support;
mod tables;
