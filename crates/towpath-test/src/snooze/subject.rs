//! What the suite runs: a pipeline, and what must be polled beside it.

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, ready},
};
use towpath::Pipeline;

/// A pipeline, or a pipeline with a future that runs beside it: the consumer of its stream.
pub trait Subject {
    /// The pipeline and what runs beside it.
    fn into_parts(self) -> (Pipeline, BoxFuture<'static, ()>);
}

impl Subject for Pipeline {
    fn into_parts(self) -> (Pipeline, BoxFuture<'static, ()>) {
        (self, ready(()).boxed())
    }
}

impl<F: Future<Output = ()> + Send + 'static> Subject for (Pipeline, F) {
    fn into_parts(self) -> (Pipeline, BoxFuture<'static, ()>) {
        (self.0, self.1.boxed())
    }
}
