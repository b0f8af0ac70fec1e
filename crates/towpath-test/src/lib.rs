//! The test kit of Towpath: inject, await outcomes, record, fail on cue, check conservation.
//!
//! ```
//! use towpath::{BoxError, Flow, Processor};
//! use towpath_test::{Recorder, TestSource, check};
//!
//! # towpath_test::paused(async {
//! let (source, outcomes) = TestSource::of([1, 2, 3]);
//! let recorder = Recorder::new().fail_when(|n: &u32| *n == 20);
//! let report = Flow::from(source)
//!     .process(Processor::new("times ten", |n: u32| async move { Ok::<_, BoxError>(n * 10) }))
//!     .sink(recorder.sink("record"))
//!     .run()
//!     .await
//!     .unwrap();
//!
//! check(&report);
//! assert_eq!(outcomes.only(0).word(), "done");
//! assert_eq!(outcomes.only(1).word(), "rejected");
//! assert_eq!(recorder.items(), [10, 30]);
//! # });
//! ```
//!
//! ```text
//! TestSource ─▶ .. ─▶ Cue::handler ─▶ .. ─▶ Recorder::sink
//!     ▲                fails, panics or          │
//! Outcomes             hangs on cue              ▼ items, batches
//! ```
//!
//! Beside the kit for pipelines there are three suites, for what others bring: [`conformance`]
//! for connectors, [`layer`] for tower layers, [`snooze`] for whatever polls futures.
//!
//! Run such tests on paused time, with `#[tokio::test(start_paused = true)]` or [`paused`]:
//! nothing here sleeps to synchronise, every `wait_for` wakes on what it waits for.

mod check;
pub mod conformance;
mod cue;
mod hold;
pub mod layer;
mod metrics;
mod outcomes;
mod paused;
mod probe;
mod recorder;
pub mod snooze;
mod source;
mod traces;

pub use check::{assert_no_leaks, check, check as assert_conserved};
pub use cue::Cue;
pub use metrics::Metrics;
pub use outcomes::Outcomes;
pub use paused::paused;
pub use probe::{Probe, ProbeAcknowledger, ProbeProducer, ProbeToken};
pub use recorder::{Recorder, RecordingSink};
pub use source::{TestAcknowledger, TestProducer, TestSource, TestToken};
pub use traces::{SpanLine, Traces};
