//! The runtime of pipelines: wiring, supervision, drain, control and report.
//!
//! A [`Flow`] is built stage by stage and ends in a [`Pipeline`]: plain data until it
//! is run. Running wires links between the stages, owns every task, and ends with a
//! [`Report`].
//!
//! ```text
//!  Pipeline::run
//!    └─ supervisor ── restarts, drain, deadline
//!         ├─ source      receive + tell
//!         ├─ processor   worker x n
//!         ├─ batcher     worker
//!         ├─ sink        worker x n
//!         └─ dead letters
//! ```

mod assembly;
mod branches;
mod dead_letters;
mod error;
mod flow;
mod handle;
mod look;
mod pipeline;
mod plan;
mod port;
mod promise;
mod registry;
mod report;
mod restarts;
#[cfg(feature = "signal")]
mod signal;
mod start;
mod stream_end;
mod supervisor;

pub use branches::{Branches, Copies};
pub use error::{BuildError, RunError, UnknownRoute};
pub use flow::{Batched, Flow};
pub use handle::{ControlError, PipelineHandle};
pub use pipeline::{Pipeline, Running, Settings};
pub use plan::{Explanation, Topology};
pub use registry::{find, running};
pub use report::{Ending, Report};
pub use restarts::{Restarts, Strategy};
#[cfg(feature = "signal")]
pub use signal::shutdown_signal;
pub use stream_end::Delivered;
pub use towpath_core::{Phase, SourceStatus, StageStatus, Status};
