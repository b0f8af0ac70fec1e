//! A stage without policies.

use std::sync::Arc;

use tower_service::Service;
use towpath_core::{PolicyControl, StageInfo};

use super::{Guard, Guarded};

/// No policies: the service as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bare;

impl Guarded for Bare {
    const CARRIES: bool = false;

    fn adapts_up_to(&self) -> Option<usize> {
        None
    }

    fn describe(&self, _concurrency: usize, info: StageInfo) -> StageInfo {
        info
    }

    fn control(&self, _concurrency: usize) -> Option<Arc<dyn PolicyControl>> {
        None
    }
}

impl<S: Service<Q>, Q> Guard<S, Q> for Bare {
    type Service = S;

    fn guard(&self, service: S, _concurrency: usize) -> Option<S> {
        Some(service)
    }
}
