//! A case: one contender doing one job.

use std::fmt;

use tokio::runtime::Runtime;

use crate::message::{Counts, Miscount};

/// Runs a contender over so many messages and says what was acknowledged.
pub type Run = fn(&Runtime, u32) -> Counts;

/// The job that contenders are compared on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// Source, four workers, acknowledged.
    Bare,
    /// The same with batches of 100.
    Batched,
    /// Batches of 100, a handler that yields once, 64 in flight.
    Yielding,
    /// Decode, map, filter, batches of 100.
    Decoded,
    /// Chunks of one message.
    Single,
    /// A month of flights from file to database.
    Flights,
    /// Batches of 100, with four policies around the handler.
    Policed,
    /// Batches of 100, with somebody who looks after the pipeline.
    Watched,
    /// Policies around a service that is ready at once, call by call.
    Calls,
    /// The same around a service that yields once.
    Pending,
}

/// One contender doing one job.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The job.
    pub job: Job,
    /// Who does it.
    pub contender: &'static str,
    /// The code that does it.
    pub run: Run,
}

/// A contender lost, invented or skipped messages.
#[derive(Debug, thiserror::Error)]
#[error("{case} did not acknowledge what it was given")]
pub struct Unsound {
    case: String,
    source: Miscount,
}

// === impl Job ===

impl Job {
    /// Every job, in the order of the tables.
    pub const ALL: [Self; 10] = [
        Self::Bare,
        Self::Batched,
        Self::Yielding,
        Self::Decoded,
        Self::Single,
        Self::Flights,
        Self::Policed,
        Self::Watched,
        Self::Calls,
        Self::Pending,
    ];

    /// The first half of a benchmark's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Batched => "batched",
            Self::Yielding => "yielding",
            Self::Decoded => "decoded",
            Self::Single => "single",
            Self::Flights => "flights",
            Self::Policed => "policed",
            Self::Watched => "watched",
            Self::Calls => "calls",
            Self::Pending => "pending",
        }
    }

    /// What the job is, for the head of its table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Bare => "source > 4 workers > acknowledged",
            Self::Batched => "source > 4 workers > batches of 100 > acknowledged",
            Self::Yielding => "64 in flight, the handler yields once, batches of 100",
            Self::Decoded => "decode > map > filter > batches of 100, nothing configured",
            Self::Single => "chunks of one message, 4 workers, batches of 100",
            Self::Flights => "a month of flights from file to database, per row",
            Self::Policed => "rate limit, breaker, retry, timeout; batches of 100",
            Self::Watched => "batches of 100, with telemetry",
            Self::Calls => "policies around a service that is ready, per call",
            Self::Pending => "policies around a service that yields once, per call",
        }
    }
}

// === impl Case ===

impl Case {
    /// Runs the case and checks that exactly its messages were acknowledged.
    ///
    /// # Errors
    /// Fails with both counts when they differ.
    pub fn checked(&self, runtime: &Runtime, messages: u32) -> Result<(), Unsound> {
        let verdict = (self.run)(runtime, messages).verify(messages);
        verdict.map_err(|source| Unsound {
            case: self.to_string(),
            source,
        })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job.name(), self.contender)
    }
}
