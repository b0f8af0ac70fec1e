//! Messages, receipts, outcomes and the traits of sources and sinks.
//!
//! This is what a connector needs, and all it needs: no runtime, no tower, no
//! OpenTelemetry. A [`Producer`] hands out [`Delivery`]s, the engine turns each
//! into a [`Message`] whose [`Receipt`] comes back to the producer's
//! [`Acknowledger`] as exactly one [`Outcome`].
//!
//! ```
//! use towpath_core::{Outcome, Reason};
//!
//! let filtered = Outcome::Drop(Reason::new("cancelled"));
//! assert_eq!(filtered.to_string(), "dropped: cancelled");
//! ```
//!
//! ```text
//! Producer::receive ─▶ Delivery ─▶ Message { payload, receipt } ─▶ ... ─▶ Sink::write
//!        ▲                                            │
//!        └── Acknowledger::settle ◀── Outcome ◀───────┘ done / retry / reject / drop
//! ```

mod batch;
mod bottleneck;
mod bundle;
mod control;
mod dead_letter;
mod error;
mod failure;
mod failure_route;
mod guarantee;
mod histogram;
pub mod invariants;
mod lag;
mod lease;
mod ledger;
mod message;
mod name;
mod observer;
mod origin;
mod outcome;
mod peer;
mod policy;
pub mod port;
mod producer;
mod reach;
mod receipt;
mod sink;
mod stage;
mod stats;
mod status;
mod telemetry;
pub mod trace;
pub mod watermark;
mod words;

pub use batch::{Batch, BatchInfo, BatchKey, Trigger};
pub use bottleneck::{Load, bottleneck};
pub use bundle::{Bundle, Pool};
pub use control::StageControl;
pub use dead_letter::{DeadLetter, Original};
pub use error::{BoxError, ErrorNames, Panicked, Permanent, error_kind, find, name_errors};
pub use failure::Failure;
pub use failure_route::{AttemptsExhausted, FailureContext, FailureHook, FailureRoute};
pub use guarantee::{Guarantee, Redelivery, Settlement, SinkPromise};
pub use histogram::{Distribution, Histogram, Latency};
pub use lag::Lag;
pub use lease::{Lease, Shelf};
pub use ledger::{Counts, Ledger};
pub use message::Message;
pub use name::StageName;
pub use observer::{Event, EventKind, Observer};
pub use origin::{Headers, Identity, Origin, Position};
pub use outcome::{Cause, Outcome, Reason};
pub use peer::Peer;
pub use policy::{
    BreakerState, ForcedBreaker, PolicyControl, PolicyError, PolicyListener, PolicyStatus,
};
pub use port::{Ends, Inlet, Outlet};
pub use producer::{
    Acknowledger, Delivery, Intake, Producer, Received, SettleError, SettleOptions, Settled, Token,
    Unacknowledged, UnsupportedOption,
};
pub use reach::Reach;
pub use receipt::{Delivered, Originals, Receipt, Receipts, SettlePort, Settler, Split};
pub use sink::{Sink, Verdicts, Written};
pub use stage::{Bundler, Ports, Stage, StageInfo, Work};
pub use stats::{StageCounts, StageStats};
pub use status::{
    BatchStatus, Phase, QueueStatus, ReachStatus, SettleCounts, SourceStatus, StageStatus, Status,
};
pub use telemetry::{Attached, Inspect, Telemetry, Timing};
