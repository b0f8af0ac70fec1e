//! Processes that share keys: each a layer of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{future::Future, sync::Arc, time::Duration};

use tower::{Layer, Service, ServiceExt, service_fn};
use towpath_policy::{
    BoxError, Dedup, Duplicate, RedisDedupStore,
    dedup::{ByKey, DedupLayer},
    find,
};

use crate::server::ANSWERS;

pub(crate) const SOON: Duration = Duration::from_secs(30);

type Same = ByKey<fn(&u64) -> u64>;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what a dedup asks for")]
fn same(request: &u64) -> u64 {
    *request
}

/// Requests that are equal are the same.
pub(crate) fn dedup(url: &str) -> Dedup<Same> {
    let store = RedisDedupStore::new(url).unwrap().timeout(ANSWERS);
    Dedup::by_key(same as fn(&u64) -> u64).shared(Arc::new(store), "orders")
}

/// One process with its work.
pub(crate) fn process<F, Fut>(
    dedup: Dedup<Same>,
    work: F,
) -> impl Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone
where
    F: FnMut(u64) -> Fut + Clone + Send,
    Fut: Future<Output = Result<u64, BoxError>> + Send,
{
    let layer: DedupLayer<Same> = dedup.build().unwrap();
    layer.layer(service_fn(work))
}

pub(crate) async fn call<S>(service: &S, request: u64) -> Result<u64, BoxError>
where
    S: Service<u64, Response = u64, Error = BoxError> + Clone,
{
    let call = service.clone().oneshot(request);
    tokio::time::timeout(SOON, call).await.expect("it ends")
}

pub(crate) fn is_duplicate<T>(result: &Result<T, BoxError>) -> bool {
    let error = result.as_ref().err();
    error.is_some_and(|error| find::<Duplicate>(error.as_ref()).is_some())
}
