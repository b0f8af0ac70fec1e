//! Classes of errors on a stage: what a handler says of its message comes first.

use std::{error::Error, sync::Arc};

use towpath_core::{Failure, find};
use towpath_policy::{Class, Classify};

/// A [`Failure`] is a decision about the message: it is not tried again in place, and the
/// source sees it. Of other errors the classes of the retry decide.
pub(super) struct OnStage(pub(super) Arc<dyn Classify>);

impl Classify for OnStage {
    fn classify(&self, error: &(dyn Error + 'static)) -> Class {
        match find::<Failure>(error) {
            Some(_) => Class::Permanent,
            None => self.0.classify(error),
        }
    }
}
