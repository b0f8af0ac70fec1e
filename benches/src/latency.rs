//! Latency probes: how long a message waits, and what waiting costs.
//!
//! ```text
//! Pace (a thread) --Feed--> a contender set up with Work and max_wait --> Samples
//! ```

mod by_hand;
mod idle;
mod pace;
mod paced;
mod samples;
mod tail;
mod towpath;
mod work;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

pub use pace::{Feed, Pace, Stamped};
pub use samples::Samples;
pub use work::Work;

/// What a contender is asked to be for one probe.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// What its four workers do with a message.
    pub work: Work,
    /// Age at which a batch closes; without it there is no batcher.
    pub max_wait: Option<Duration>,
}

/// A named figure; the unit is the end of the name.
pub type Field = (&'static str, f64);

/// Runs a pipeline from the feed to the samples, until the feed ends.
pub type Pipeline = fn(Feed, Arc<Samples>, Setup) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who is probed.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// Name in the table.
    pub name: &'static str,
    /// The code.
    pub pipeline: Pipeline,
}

/// What a probe found.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Name of the probe and of the contender, such as `paced-5k/by-hand`.
    pub name: String,
    /// The figures.
    pub fields: Vec<Field>,
    /// The field that has a goal, and the most that it should be.
    pub goal: Field,
}

type Ask = fn(&Runtime, &Contender) -> io::Result<Vec<Field>>;

/// A question about latency.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// The first half of a reading's name.
    pub name: &'static str,
    /// What is asked, for the head of the table.
    pub title: &'static str,
    ask: Ask,
    goal: Field,
}

/// Every probe, in the order of the tables.
pub const PROBES: [Probe; 5] = [
    paced::SLOW,
    paced::MEDIUM,
    paced::FAST,
    tail::PROBE,
    idle::PROBE,
];

/// Everyone who is probed.
pub const CONTENDERS: [Contender; 2] = [towpath::CONTENDER, by_hand::CONTENDER];

// === impl Probe ===

impl Probe {
    /// Asks one contender.
    ///
    /// # Errors
    /// Fails when no thread can be started for the source.
    pub fn ask(&self, runtime: &Runtime, contender: &Contender) -> io::Result<Reading> {
        let fields = (self.ask)(runtime, contender)?;
        let name = format!("{}/{}", self.name, contender.name);
        Ok(Reading {
            name,
            fields,
            goal: self.goal,
        })
    }
}

// === impl Reading ===

impl Reading {
    /// Whether the goal is met.
    pub fn is_met(&self) -> bool {
        let (field, most) = self.goal;
        self.fields
            .iter()
            .any(|(name, value)| *name == field && *value <= most)
    }
}
