//! The policies of a stage: which there are, in which order they go around its service.

mod bare;
mod builder;
mod classify;
mod control;
mod error_kind;
mod part;
mod read_error;
mod stack;
mod traced;

use std::sync::Arc;

use tower_service::Service;
use towpath_core::{PolicyControl, StageInfo};

pub use bare::Bare;
pub use error_kind::name_errors;
pub use part::{Absent, Part};
pub(crate) use read_error::read_error;
pub use stack::{Stack, StackOf, ToStack};
pub(crate) use traced::{Approach, TracedCall};

/// What goes around the service of a stage.
pub trait Guard<S, Q>: Guarded
where
    S: Service<Q>,
{
    /// The service with everything around it.
    type Service: Service<Q, Response = S::Response>;

    /// Puts everything around a service; all of one stage share what is shared. `None` when
    /// an option makes no sense: the stage says so before it is started.
    fn guard(&self, service: S, concurrency: usize) -> Option<Self::Service>;
}

/// What there is to be known of the policies of a stage.
pub trait Guarded: Send + Sync + 'static {
    /// Whether calls carry a context: which attempt they are, and when their time is over.
    const CARRIES: bool;

    /// How many messages the stage works on at once, when that adapts.
    fn adapts_up_to(&self) -> Option<usize>;

    /// Adds each policy, outermost first, and what is wrong with it.
    fn describe(&self, concurrency: usize, info: StageInfo) -> StageInfo;

    /// What can be changed while the stage runs.
    fn control(&self, concurrency: usize) -> Option<Arc<dyn PolicyControl>>;
}
