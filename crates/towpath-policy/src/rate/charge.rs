//! What a call costs, and whose budget pays.

use std::{fmt, sync::Arc};

use crate::Key;

/// What a call costs, and whose budget pays.
pub trait Charge<Q>: Send + Sync + 'static {
    /// Whether neither looks at the request: the limiter then waits before one is taken.
    const FLAT: bool;

    /// Whose budget pays. `None` is the one budget of all.
    fn key(&self, _request: &Q) -> Option<Key> {
        None
    }

    /// How much the call costs. Nothing is zero.
    fn weight(&self, _request: &Q) -> u32 {
        1
    }
}

/// Every call costs one, and all pay from one budget.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flat;

/// Each key has a budget of its own.
pub struct Keyed<F, L> {
    key: F,
    inner: Arc<L>,
}

/// Calls cost what a function says.
pub struct Weighed<F, L> {
    weight: F,
    inner: Arc<L>,
}

// === impl Flat ===

impl<Q> Charge<Q> for Flat {
    const FLAT: bool = true;
}

// === impl Keyed ===

impl<F, L> Keyed<F, L> {
    pub(super) fn new(key: F, inner: Arc<L>) -> Self {
        Self { key, inner }
    }
}

impl<Q, K, F, L> Charge<Q> for Keyed<F, L>
where
    F: Fn(&Q) -> K + Send + Sync + 'static,
    K: Into<Key>,
    L: Charge<Q>,
{
    const FLAT: bool = false;

    fn key(&self, request: &Q) -> Option<Key> {
        Some((self.key)(request).into())
    }

    fn weight(&self, request: &Q) -> u32 {
        self.inner.weight(request)
    }
}

impl<F, L: fmt::Debug> fmt::Debug for Keyed<F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyed").field(&self.inner).finish()
    }
}

// === impl Weighed ===

impl<F, L> Weighed<F, L> {
    pub(super) fn new(weight: F, inner: Arc<L>) -> Self {
        Self { weight, inner }
    }
}

impl<Q, F, L> Charge<Q> for Weighed<F, L>
where
    F: Fn(&Q) -> u32 + Send + Sync + 'static,
    L: Charge<Q>,
{
    const FLAT: bool = false;

    fn key(&self, request: &Q) -> Option<Key> {
        self.inner.key(request)
    }

    fn weight(&self, request: &Q) -> u32 {
        (self.weight)(request)
    }
}

impl<F, L: fmt::Debug> fmt::Debug for Weighed<F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Weighed").field(&self.inner).finish()
    }
}
