//! Sinks as stages, and functions as sinks.

use std::{fmt, sync::Arc};

use towpath_core::{
    Batch, BoxError, Bundle, FailureHook, FailureRoute, Inlet, Lease, Origin, Outcome, Shelf, Sink,
    SinkPromise, StageInfo, StageName, StageStats, Verdicts, Work, Written,
};

use crate::sink_work::{MAX_UNFLUSHED, SinkWork};

/// More tasks of one sink than this are a slip of the pen.
const MAX_WORKERS: usize = 4096;

/// A sink with its name, its workers and its failure hook.
///
/// ```
/// use towpath_batcher::write;
/// use towpath_core::{Batch, BoxError};
///
/// let print = write("print", |batch: Batch<String>| async move {
///     batch.items().iter().for_each(|line| println!("{line}"));
///     Ok::<_, BoxError>(())
/// })
/// .workers(2);
/// # let _ = print;
/// ```
#[derive(Clone)]
pub struct SinkStage<S> {
    name: StageName,
    sinks: Vec<Shelf<S>>,
    promise: SinkPromise,
    hook: Option<FailureHook>,
    problem: Option<String>,
}

/// A function over a batch as a sink.
pub struct FnSink<F>(Arc<F>);

/// A function over each message of a batch as a sink.
pub struct Each<F>(Arc<F>);

/// Writes batches with an async function, which answers for the whole (`Ok(())`) or for
/// each message (`Ok(Verdicts)`).
pub fn write<T, F, Fut, W, E>(name: impl Into<StageName>, f: F) -> SinkStage<FnSink<F>>
where
    F: Fn(Batch<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<W, E>> + Send,
    W: Into<Written>,
    E: Into<BoxError>,
{
    SinkStage::new(name, FnSink(Arc::new(f)), SinkPromise::Plain)
}

/// Writes messages with an async function, one after the other.
pub fn each<T, F, Fut, E>(name: impl Into<StageName>, f: F) -> SinkStage<Each<F>>
where
    F: Fn(T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Into<BoxError>,
{
    SinkStage::new(name, Each(Arc::new(f)), SinkPromise::Plain)
}

impl<S> SinkStage<S> {
    /// Names a sink; `promise` says what happens when the same message comes twice.
    pub fn new(name: impl Into<StageName>, sink: S, promise: SinkPromise) -> Self {
        Self {
            name: name.into(),
            sinks: vec![Shelf::new(sink)],
            promise,
            hook: None,
            problem: None,
        }
    }

    /// Names a sink of a connector.
    pub fn of<T>(name: impl Into<StageName>, sink: S) -> Self
    where
        S: Sink<T>,
    {
        let promise = sink.promise();
        Self::new(name, sink, promise)
    }

    /// Writes up to `n` batches at once, each worker with a clone of the sink.
    #[must_use]
    pub fn workers(mut self, n: usize) -> Self
    where
        S: Clone,
    {
        let model = self.sinks[0].look(Clone::clone);
        self.sinks.truncate(1);
        let sensible = (1..=MAX_WORKERS).contains(&n);
        self.problem = (!sensible).then(|| format!("workers must be 1 to {MAX_WORKERS}"));
        let clones = if sensible { n - 1 } else { 0 };
        let clones = model.iter().cycle().take(clones);
        self.sinks.extend(clones.cloned().map(Shelf::new));
        self
    }

    /// Says that a message that comes twice leaves the same state.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.promise = SinkPromise::Idempotent;
        self
    }

    /// Sees each failure before it is settled, and may change its outcome.
    #[must_use]
    pub fn on_failure<H>(mut self, hook: H) -> Self
    where
        H: Fn(Outcome, &Origin) -> Outcome + Send + Sync + 'static,
    {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Name, shape and limits, for the topology.
    pub fn info(&self) -> StageInfo {
        let workers = self.sinks.len();
        let info = StageInfo::new(self.name.clone(), "sink").sized(workers, workers);
        match &self.problem {
            Some(problem) => info.problem(problem.as_str()),
            None => info,
        }
    }

    /// As [`info`](Self::info), with the messages that may wait for a flush.
    pub fn info_for<T>(&self) -> StageInfo
    where
        S: Sink<T>,
    {
        let info = self.info();
        let every = self.sinks[0].look(Sink::flush_every).flatten();
        let Some(every) = every else {
            return info;
        };
        let held = info.workers.saturating_mul(MAX_UNFLUSHED);
        info.holding(held).note(format!("flushed every {every:?}"))
    }

    /// What happens when the same message comes twice.
    pub fn promise(&self) -> SinkPromise {
        self.promise
    }

    /// Sees each failure of the stage before it is settled.
    pub fn hook(&self) -> Option<FailureHook> {
        self.hook.clone()
    }

    /// Takes the first sink; `None` while a worker has it.
    pub fn lease(&self) -> Option<Lease<S>> {
        self.sinks[0].take()
    }

    /// The work of one worker.
    pub fn work<T>(
        &self,
        worker: usize,
        inlet: Box<dyn Inlet<Bundle<T>>>,
        failures: FailureRoute,
        stats: Arc<StageStats>,
    ) -> Work
    where
        S: Sink<T>,
        T: Send + 'static,
    {
        let own = self.sinks[worker].clone();
        Box::pin(async move {
            if let Some(sink) = own.take() {
                SinkWork::new(sink, failures, stats).run(inlet).await;
            }
        })
    }

    /// Gets every sink ready.
    ///
    /// # Errors
    /// Fails with what the first sink says that is not ready.
    pub async fn open<T>(&self) -> Result<(), BoxError>
    where
        S: Sink<T>,
    {
        for shelf in &self.sinks {
            if let Some(mut sink) = shelf.take() {
                sink.open().await?;
            }
        }
        Ok(())
    }
}

impl<T, F, Fut, W, E> Sink<T> for FnSink<F>
where
    T: Send,
    F: Fn(Batch<T>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<W, E>> + Send,
    W: Into<Written>,
    E: Into<BoxError>,
{
    async fn write(&mut self, batch: Batch<T>) -> Result<Written, BoxError> {
        (self.0)(batch).await.map(Into::into).map_err(Into::into)
    }
}

impl<T, F, Fut, E> Sink<T> for Each<F>
where
    T: Send,
    F: Fn(T) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Into<BoxError>,
{
    async fn write(&mut self, batch: Batch<T>) -> Result<Written, BoxError> {
        let mut verdicts = Verdicts::done();
        for (index, item) in batch.into_iter().enumerate() {
            if let Err(error) = (self.0)(item).await {
                verdicts = verdicts.fail(index, error);
            }
        }
        Ok(verdicts.into())
    }
}

impl<F> Clone for FnSink<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F> Clone for Each<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F> fmt::Debug for FnSink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FnSink")
    }
}

impl<F> fmt::Debug for Each<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Each")
    }
}

impl<S> fmt::Debug for SinkStage<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkStage")
            .field("name", &self.name)
            .field("workers", &self.sinks.len())
            .finish_non_exhaustive()
    }
}
