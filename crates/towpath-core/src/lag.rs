//! How many messages wait in a source.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What nobody has said yet.
const UNKNOWN: u64 = u64::MAX;

/// How many messages wait in a source for this consumer. Clones share it.
///
/// ```
/// use towpath_core::Lag;
///
/// let lag = Lag::default();
/// assert_eq!(lag.get(), None);
/// lag.set(12);
/// assert_eq!(lag.clone().get(), Some(12));
/// ```
#[derive(Clone, Debug)]
pub struct Lag(Arc<AtomicU64>);

impl Lag {
    /// So many wait, as far as the source knows.
    pub fn set(&self, messages: u64) {
        self.0.store(messages.min(UNKNOWN - 1), Relaxed);
    }

    /// Nobody knows any more.
    pub fn forget(&self) {
        self.0.store(UNKNOWN, Relaxed);
    }

    /// How many wait; `None` while nobody knows.
    pub fn get(&self) -> Option<u64> {
        Some(self.0.load(Relaxed)).filter(|lag| *lag != UNKNOWN)
    }
}

impl Default for Lag {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(UNKNOWN)))
    }
}
