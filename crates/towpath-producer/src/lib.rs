//! Sources: whatever produces messages, asked only for what somebody can take.
//!
//! ```
//! use towpath_producer::Source;
//!
//! let numbers = Source::iter("numbers", 0..10);
//! # let _ = numbers;
//! ```
//!
//! ```text
//!              ┌ receiving task ──────────────┐
//!   demand ──▶ │ Producer::receive ─▶ receipt │ ──▶ outlet
//!              └──────────────────────────────┘
//!              ┌ telling task ────────────────┐
//!              │ Acknowledger::settle         │ ◀── outcomes
//!              └──────────────────────────────┘
//! ```

#[cfg(feature = "files")]
mod blocks;
mod constructors;
#[cfg(feature = "files")]
mod csv;
pub mod cumulative;
mod gate;
mod ingress;
mod interval;
mod iter;
#[cfg(feature = "files")]
mod lines;
#[cfg(feature = "files")]
mod ndjson;
#[cfg(feature = "files")]
mod open_file;
mod pool;
mod redeliver;
mod settle;
mod source;
mod stream;
mod table;
#[cfg(test)]
mod test_kit;

pub use gate::{Flow, Gate, GateView};
pub use ingress::{
    Ingress, IngressHandle, IngressReplies, IngressSource, IngressToken, Overflow, PushError,
};
pub use interval::{IntervalSource, ZeroPeriod};
pub use iter::{BlockingIter, IterSource};
pub use redeliver::{GivenUp, Redeliver, RedeliverToken, Redeliveries};
pub use settle::SettleStats;
pub use source::{Source, SourceContext, SourceWorks};
pub use stream::StreamSource;

#[cfg(feature = "files")]
pub use self::{
    csv::{Csv, CsvRow, RowError, RowTooLong},
    lines::{Line, LineError, Lines},
    ndjson::{JsonLineError, NdJson, json_line},
    open_file::{FileProgress, OpenError, ReadError},
};
