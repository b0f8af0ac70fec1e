//! What the pipelines of the suite are made of.

use futures_util::{FutureExt as _, future::BoxFuture};
use towpath::{
    BoxError, Processor, SinkStage,
    batcher::{Each, FnSink},
    each, processor, write,
};

pub(crate) type Handled<T> = BoxFuture<'static, Result<T, BoxError>>;
type Handler = Box<dyn Fn(u64) -> Handled<u64> + Send + Sync>;
type Writer<B> = Box<dyn Fn(B) -> Handled<()> + Send + Sync>;

/// A processor that awaits something and hands the payload on.
pub(crate) fn on<F>(
    name: &str,
    first: impl Fn(u64) -> F + Send + Sync + 'static,
) -> Processor<processor::FnService<Handler>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let handler: Handler = Box::new(move |n| first(n).map(move |()| Ok(n)).boxed());
    Processor::new(name, handler)
}

/// A sink that awaits something for each message.
pub(crate) fn to<T, F>(
    name: &str,
    write: impl Fn() -> F + Send + Sync + 'static,
) -> SinkStage<Each<Writer<T>>>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let writer: Writer<T> = Box::new(move |_| write().map(Ok).boxed());
    each(name, writer)
}

/// A sink that awaits something for each batch.
pub(crate) fn to_batch<F>(
    name: &str,
    write_one: impl Fn() -> F + Send + Sync + 'static,
) -> SinkStage<FnSink<Writer<towpath::Batch<u64>>>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let writer: Writer<towpath::Batch<u64>> = Box::new(move |_| write_one().map(Ok).boxed());
    write(name, writer)
}
