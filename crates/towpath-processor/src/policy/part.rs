//! The parts of a stack that are there or not: dedup, fallback, hedge.

use tower_layer::Identity;
use towpath_policy::{Fallback, Hedge, HedgeLayer, InvalidOptions};

/// Options of a layer that a stage may have.
pub trait Part: Clone + Send + Sync + 'static {
    /// The layer.
    type Layer: Clone + Send + Sync + 'static;

    /// Makes the layer, which all workers of the stage share.
    ///
    /// # Errors
    /// Fails when an option makes no sense.
    fn build(&self) -> Result<Self::Layer, InvalidOptions>;

    /// A few words for the topology; `None` when it is not there.
    fn describe(&self) -> Option<String>;
}

/// The stage has no such layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Absent;

impl Part for Absent {
    type Layer = Identity;

    fn build(&self) -> Result<Identity, InvalidOptions> {
        Ok(Identity::new())
    }

    fn describe(&self) -> Option<String> {
        None
    }
}

impl Part for Hedge {
    type Layer = HedgeLayer;

    fn build(&self) -> Result<HedgeLayer, InvalidOptions> {
        Self::build(self)
    }

    fn describe(&self) -> Option<String> {
        Some("hedge".to_owned())
    }
}

impl<A, P> Part for Fallback<A, P>
where
    A: Clone + Send + Sync + 'static,
    P: Clone + Send + Sync + 'static,
{
    type Layer = Self;

    fn build(&self) -> Result<Self, InvalidOptions> {
        Ok(self.clone())
    }

    fn describe(&self) -> Option<String> {
        Some("fallback".to_owned())
    }
}
