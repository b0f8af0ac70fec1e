//! Dedup: a call that was answered before, or is about to be, is not made again.

mod future;
mod key;
mod local;
mod options;
#[cfg(feature = "redis")]
mod redis_store;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod ticket;

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower_layer::Layer;
use tower_service::Service;

pub use future::DedupFuture;
pub use key::{ByKey, KeyOf, NoKey};
pub use options::Dedup;
#[cfg(feature = "redis")]
pub use redis_store::RedisDedupStore;
pub use store::{Claim, Claimed, DedupStore, DedupStoreFailed};

use crate::BoxError;
use future::Before;
use local::Local;
use table::Look;

/// Puts a [`Dedup`] around a service; all that are made by one layer share its memory.
#[derive(Debug)]
pub struct DedupLayer<K> {
    key: Arc<K>,
    local: Arc<Local>,
}

/// A service with a [`Dedup`].
#[derive(Debug)]
pub struct DedupService<S, K> {
    inner: S,
    key: Arc<K>,
    local: Arc<Local>,
}

// === impl DedupLayer ===

impl<K> DedupLayer<K> {
    /// How many keys are in flight.
    pub fn in_flight(&self) -> usize {
        self.local.in_flight()
    }

    /// How many calls were refused as duplicates.
    pub fn duplicates(&self) -> u64 {
        self.local.duplicates()
    }

    /// How many keys are remembered; some of them may have had their time.
    pub fn remembered(&self) -> usize {
        self.local.remembered()
    }
}

impl<S, K> Layer<S> for DedupLayer<K> {
    type Service = DedupService<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        DedupService {
            inner,
            key: self.key.clone(),
            local: self.local.clone(),
        }
    }
}

impl<K> Clone for DedupLayer<K> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            local: self.local.clone(),
        }
    }
}

// === impl DedupService ===

impl<S, K> DedupService<S, K> {
    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: Clone, K> DedupService<S, K> {
    /// A service that is not ready, for a call that has to wait: what was readied for the
    /// call is given back, so that nothing is held meanwhile.
    fn unreadied(&mut self) -> S {
        self.inner = self.inner.clone();
        self.inner.clone()
    }

    /// The instance that is ready.
    fn readied(&mut self) -> S {
        let next = self.inner.clone();
        mem::replace(&mut self.inner, next)
    }
}

impl<S, Q, K> Service<Q> for DedupService<S, K>
where
    S: Service<Q> + Clone,
    S::Error: Into<BoxError>,
    K: KeyOf<Q>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = DedupFuture<S, Q>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let mut ticket = self.local.ticket(self.key.key(&request));
        match ticket.look() {
            Look::Mine if !self.local.is_shared() => {
                DedupFuture::calling(self.inner.call(request), ticket)
            }
            Look::Mine => {
                let service = self.readied();
                DedupFuture::waiting(Before { service, request }, ticket)
            }
            Look::Wait => {
                let service = self.unreadied();
                DedupFuture::waiting(Before { service, request }, ticket)
            }
            Look::Known => {
                self.inner = self.inner.clone();
                DedupFuture::refused(ticket.duplicate(), ticket)
            }
        }
    }
}

impl<S: Clone, K> Clone for DedupService<S, K> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            key: self.key.clone(),
            local: self.local.clone(),
        }
    }
}
