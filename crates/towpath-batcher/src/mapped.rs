//! A sink that takes something else than it writes.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use towpath_core::{Batch, BoxError, Peer, Reach, Sink, SinkPromise, Written};

/// Turns each message into what a sink writes; made by [`mapped`].
pub struct Mapped<S, F, U> {
    sink: S,
    f: Arc<F>,
    written: PhantomData<fn() -> U>,
}

/// A sink that turns each message into what `sink` writes: dead letters into records of a
/// topic, for one.
///
/// ```
/// use towpath_batcher::{SinkStage, mapped};
/// use towpath_core::{Batch, BoxError, DeadLetter, Sink, Written};
///
/// struct Log;
///
/// impl Sink<String> for Log {
///     async fn write(&mut self, batch: Batch<String>) -> Result<Written, BoxError> {
///         batch.iter().for_each(|line| println!("{line}"));
///         Ok(Written::All)
///     }
/// }
///
/// let letters = mapped(Log, |letter: DeadLetter| letter.cause.chain().join(": "));
/// let letters: SinkStage<_> = SinkStage::of("letters", letters);
/// # let _ = letters;
/// ```
///
/// # Panics
/// A panic of `f` is that of a write: the whole batch is rejected with it.
pub fn mapped<T, U, S, F>(sink: S, f: F) -> Mapped<S, F, U>
where
    S: Sink<U>,
    F: Fn(T) -> U + Send + Sync + 'static,
{
    Mapped {
        sink,
        f: Arc::new(f),
        written: PhantomData,
    }
}

impl<T, U, S, F> Sink<T> for Mapped<S, F, U>
where
    T: Send,
    U: Send + 'static,
    S: Sink<U>,
    F: Fn(T) -> U + Send + Sync + 'static,
{
    fn open(&mut self) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.sink.open()
    }

    async fn write(&mut self, batch: Batch<T>) -> Result<Written, BoxError> {
        let batch = batch.map(|item| (self.f)(item));
        self.sink.write(batch).await
    }

    fn flush(&mut self) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.sink.flush()
    }

    fn flush_every(&self) -> Option<Duration> {
        self.sink.flush_every()
    }

    fn reads_origins(&self) -> bool {
        self.sink.reads_origins()
    }

    fn peer(&self) -> Peer {
        self.sink.peer()
    }

    fn reach(&self) -> Option<Reach> {
        self.sink.reach()
    }

    fn promise(&self) -> SinkPromise {
        self.sink.promise()
    }
}

impl<S: Clone, F, U> Clone for Mapped<S, F, U> {
    fn clone(&self) -> Self {
        Self {
            sink: self.sink.clone(),
            f: self.f.clone(),
            written: PhantomData,
        }
    }
}

impl<S: fmt::Debug, F, U> fmt::Debug for Mapped<S, F, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mapped").field(&self.sink).finish()
    }
}
