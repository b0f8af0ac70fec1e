//! A service of which clones are made when they are needed, and not for every call.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use crate::lock::lock;

/// Never called itself: clones of it are. Cheap to clone.
pub(crate) struct Spare<S>(Arc<Mutex<S>>);

impl<S> Spare<S> {
    pub(crate) fn new(service: S) -> Self {
        Self(Arc::new(Mutex::new(service)))
    }
}

impl<S: Clone> Spare<S> {
    /// A service of its own for one call.
    pub(crate) fn service(&self) -> S {
        lock(&self.0).clone()
    }
}

impl<S> Clone for Spare<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for Spare<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spare").finish_non_exhaustive()
    }
}
