//! What the pipelines of the suite are made of.

use futures_util::{FutureExt as _, future::BoxFuture};
use towpath::{BoxError, Processor, processor::FnService};

pub type Handled = BoxFuture<'static, Result<u64, BoxError>>;

/// Awaits `first`, and hands the payload on.
pub fn ok<T: Send + 'static>(
    first: impl Future<Output = ()> + Send + 'static,
    payload: T,
) -> BoxFuture<'static, Result<Answer<T>, BoxError>> {
    async move {
        first.await;
        Ok(payload)
    }
    .boxed()
}
