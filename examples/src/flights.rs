//! The example `flights`: departures from a file, enriched, into two SQLite tables.
//!
//! ```text
//!  file (plain or gzip)
//!    |  read, decode      a row that cannot be read  -> dead letter
//!    |  drop cancelled    no departure time          -> counted
//!    |  enrich            unknown destination        -> dead letter
//!    +--> batch by origin --> table `flights`
//!    +--> late ones too: batch by origin --> table `late_flights`
//! ```
//!
//! [`pipeline`] is where to begin: the job as it is drawn above, in as many lines. [`sinks`] are the
//! ends of it, and [`attend`] looks after it while it runs. The rest is what a program of this kind
//! has to write anyway. [`baseline`] does the same job in one hand-written loop, as the measure.

pub mod attend;
pub mod baseline;
pub mod cli;
pub mod dead_letters;
pub mod enrich;
pub mod error;
pub mod input;
pub mod pipeline;
pub mod progress;
pub mod record;
pub mod reference;
pub mod schema;
pub mod sinks;
pub mod store;
pub mod summary;
pub mod text;

/// Name of the stage that turns a row into a departure.
pub const DECODE: &str = "decode";

/// Name of the stage that looks up airline, plane and destination.
pub const ENRICH: &str = "enrich";

/// A flight that arrives more than this many minutes after schedule is late.
pub const LATE_MINUTES: i32 = 15;
