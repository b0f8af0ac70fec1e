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

pub mod cumulative;
mod gate;
mod settle;
mod source;
mod table;

pub use gate::{Flow, Gate, GateView};
pub use settle::{SettleCounts, SettleStats};
pub use source::{Source, SourceContext, SourceWorks};
