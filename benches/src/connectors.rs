//! The connectors beside loops by hand: the same client, batch and acknowledgement settings.
//!
//! ```text
//! Contest (one job on one server) --> Contender (ours, by hand) --> Stopwatch
//!         `-- Standing: medians of interleaved rounds, and the ratio of each round
//! Outage (a sink that is away)    --> memory before, meanwhile and after
//! ```
//!
//! The stopwatch runs from the first message that came to the last one that is settled, for
//! either side: nobody pays for connecting, or for joining a group.

pub mod contest;
pub mod jetstream;
pub mod kafka;
pub mod outage;
pub mod postgres;
pub mod report;
pub mod rows;
pub mod sqlite;
pub mod stopwatch;
pub mod timed;

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tokio::runtime::Runtime;
use towpath::{BoxError, Pipeline};

use crate::runtime::on_worker;

/// The bytes of each message, as in the other benchmarks.
pub const PAYLOAD: [u8; 64] = [b'x'; 64];

/// What is in the way of a figure.
pub type Failed = BoxError;

/// How much to measure, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Only contests whose names begin so.
    pub only: String,
    /// Only contenders with this in their name.
    pub contender: String,
    /// Rounds that count.
    pub rounds: u32,
    /// How many times the usual number of messages.
    pub scale: f64,
    /// How long the server of a sink is away.
    pub away: std::time::Duration,
}

// === impl Plan ===

impl Plan {
    /// Whether one of these contests is wanted.
    pub fn wants(&self, names: &[&str]) -> bool {
        names.iter().any(|name| name.starts_with(&self.only))
    }

    /// So many messages, more or fewer as the plan has it, in whole batches of 1000.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few million at most"
    )]
    pub fn messages(&self, usual: u32) -> u32 {
        let thousands = (f64::from(usual) * self.scale / 1000.0).ceil();
        (thousands as u32).max(2) * 1000
    }
}

/// A name that nothing in this process has had before.
fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}", NEXT.fetch_add(1, Relaxed))
}

/// Runs a pipeline to its end; all messages must be done.
fn run(runtime: &Runtime, pipeline: Pipeline, messages: u32) -> Result<(), Failed> {
    let report = on_worker(runtime, pipeline.run())?;
    if report.counts.done == u64::from(messages) {
        Ok(())
    } else {
        Err(format!(
            "{messages} messages, and the report says {:?}",
            report.counts
        )
        .into())
    }
}
