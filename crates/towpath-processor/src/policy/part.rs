//! The parts of a stack that are there or not: dedup, fallback, hedge.

use std::error::Error;

use tower_layer::Identity;
use towpath_core::{Failure, PolicyStatus, find};
use towpath_policy::{Dedup, DedupLayer, Fallback, Hedge, HedgeLayer, InvalidOptions, Problems};

/// Options of a layer that a stage may have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no policy for this place",
    note = "a stage takes a `Dedup`, a `Fallback` and a `Hedge`, whose closures are `Clone`, `Send` and `Sync`",
    note = "`.layer(..)` and `.layer_outside(..)` take any other tower layer"
)]
pub trait Part: Clone + Send + Sync + 'static {
    /// The layer.
    type Layer: Clone + Send + Sync + 'static;

    /// Makes the layer, which all workers of the stage share.
    ///
    /// # Errors
    /// Fails when an option makes no sense.
    fn build(&self) -> Result<Self::Layer, InvalidOptions>;

    /// Adds what is wrong with the options.
    fn problems(&self, problems: &mut Problems) {
        let _ = problems;
    }

    /// A few words for the topology; `None` when it is not there.
    fn describe(&self) -> Option<String>;

    /// How it is doing.
    fn status(layer: &Self::Layer) -> Option<PolicyStatus> {
        let _ = layer;
        None
    }
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

    fn problems(&self, problems: &mut Problems) {
        Self::problems(self, problems);
    }

    fn describe(&self) -> Option<String> {
        Some("hedge".to_owned())
    }

    fn status(layer: &HedgeLayer) -> Option<PolicyStatus> {
        Some(PolicyStatus::Hedge {
            hedged: layer.hedged(),
            won: layer.won(),
        })
    }
}

impl<K> Part for Dedup<K>
where
    K: Clone + Send + Sync + 'static,
{
    type Layer = DedupLayer<K>;

    fn build(&self) -> Result<DedupLayer<K>, InvalidOptions> {
        self.clone().build()
    }

    fn problems(&self, problems: &mut Problems) {
        Self::problems(self, problems);
    }

    fn describe(&self) -> Option<String> {
        Some("dedup".to_owned())
    }

    fn status(layer: &DedupLayer<K>) -> Option<PolicyStatus> {
        Some(PolicyStatus::Dedup {
            keys: layer.in_flight() + layer.remembered(),
            duplicates: layer.duplicates(),
        })
    }
}

impl<A, P> Part for Fallback<A, P>
where
    A: Clone + Send + Sync + 'static,
    P: Clone + Send + Sync + 'static,
{
    type Layer = Self;

    fn build(&self) -> Result<Self, InvalidOptions> {
        // What a handler has decided about its message holds.
        let decided = |error: &(dyn Error + 'static)| find::<Failure>(error).is_some();
        Ok(self.clone().passing(decided).counting_apart())
    }

    fn describe(&self) -> Option<String> {
        Some("fallback".to_owned())
    }

    fn status(layer: &Self) -> Option<PolicyStatus> {
        let used = layer.used();
        Some(PolicyStatus::Fallback { used })
    }
}
