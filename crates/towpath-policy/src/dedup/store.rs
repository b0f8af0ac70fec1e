//! Stores that several processes share.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use crate::{BoxError, Key};

/// Keeps which keys are claimed and which are done, for several processes.
///
/// No answer may take for ever: a store that cannot be reached is an error.
pub trait DedupStore: Send + Sync + fmt::Debug + 'static {
    /// Claims a key until the lease is over, unless it is done or somebody else holds it.
    ///
    /// A key that is done is claimed anew when the claim is made [again](Claim::again).
    ///
    /// An earlier claim of the same [owner](Claim::owner) is taken over: an owner makes one
    /// call of a key at a time, so that the call of the earlier claim is gone.
    fn claim(&self, claim: Claim, lease: Duration)
    -> BoxFuture<'static, Result<Claimed, BoxError>>;

    /// Lets the lease begin anew, if this very claim still holds.
    fn renew(&self, claim: Claim, lease: Duration) -> BoxFuture<'static, Result<(), BoxError>>;

    /// Remembers for the time to live that the key is done, whoever holds it now.
    fn complete(&self, claim: Claim, ttl: Duration) -> BoxFuture<'static, Result<(), BoxError>>;

    /// Frees the key, if this very claim still holds.
    fn release(&self, claim: Claim) -> BoxFuture<'static, Result<(), BoxError>>;
}

/// One claim of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// The name under which keys are kept. All who use it share them.
    pub name: Arc<str>,
    /// What is claimed.
    pub key: Key,
    /// Who claims it: a random number for each layer.
    pub owner: u64,
    /// Which claim of the owner it is.
    pub number: u64,
    /// Whether its message was delivered before and given back: that the key is done does not
    /// mean that this message was finished.
    pub again: bool,
}

/// What a store answers to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claimed {
    /// The key is claimed.
    Yes,
    /// The key is done.
    Done,
    /// Somebody else holds the key, for this long at most unless they renew it.
    Held(Duration),
}

/// The store of a dedup could not be asked, and the call was not made.
#[derive(Debug, thiserror::Error)]
#[error("the store of known keys could not be asked")]
#[non_exhaustive]
pub struct DedupStoreFailed {
    /// Why.
    pub source: BoxError,
}

impl Claim {
    /// Claim `number` of an owner for a key.
    pub fn new(name: impl Into<Arc<str>>, key: impl Into<Key>, owner: u64, number: u64) -> Self {
        Self {
            name: name.into(),
            key: key.into(),
            owner,
            number,
            again: false,
        }
    }

    /// For a message that was delivered before, or not.
    #[must_use]
    pub fn again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }
}
