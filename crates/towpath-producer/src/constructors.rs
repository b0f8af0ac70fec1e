//! Short ways to the sources of this crate.

use std::{num::NonZeroUsize, time::Duration};

use tokio_stream::Stream;
use towpath_core::{Producer, StageName};

use crate::{
    BlockingIter, Ingress, IngressHandle, IngressSource, IntervalSource, IterSource, Overflow,
    Redeliver, Source, StreamSource,
};

impl<I> Source<IterSource<I>>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
{
    /// The items of an iterator that never blocks.
    pub fn iter(name: impl Into<StageName>, items: impl IntoIterator<IntoIter = I>) -> Self {
        Self::new(name, IterSource::new(items))
    }
}

impl<I> Source<BlockingIter<I>>
where
    I: Iterator + Send + 'static,
    I::Item: Send + 'static,
{
    /// The items of an iterator that blocks: it runs on the blocking pool.
    pub fn blocking_iter(
        name: impl Into<StageName>,
        items: impl IntoIterator<IntoIter = I>,
    ) -> Self {
        Self::new(name, BlockingIter::new(items))
    }
}

impl<S> Source<StreamSource<S>>
where
    S: Stream + Send + 'static,
    S::Item: Send + 'static,
{
    /// The items of a stream. It is polled only while somebody can take one.
    pub fn stream(name: impl Into<StageName>, items: S) -> Self {
        Self::new(name, StreamSource::new(items))
    }
}

impl Source<IntervalSource> {
    /// The number of each tick, one every `period`.
    pub fn interval(name: impl Into<StageName>, period: Duration) -> Self {
        Self::new(name, IntervalSource::new(period))
    }
}

impl<P: Send + 'static> Source<IngressSource<P>> {
    /// What other code pushes into the handle; up to `capacity` messages wait.
    pub fn ingress(
        name: impl Into<StageName>,
        capacity: NonZeroUsize,
        overflow: Overflow,
    ) -> (Self, IngressHandle<P>) {
        let (source, handle) = Ingress::new(capacity, overflow);
        (Self::new(name, source), handle)
    }
}

impl<P> Source<Redeliver<P>>
where
    P: Producer,
    Redeliver<P>: Producer,
{
    /// A source whose messages come again, in this process, when they are given back.
    pub fn redelivering(name: impl Into<StageName>, producer: P) -> Self
    where
        P::Payload: Clone,
    {
        Self::new(name, Redeliver::new(producer))
    }
}

#[cfg(feature = "files")]
mod files {
    use std::path::Path;

    use towpath_core::StageName;

    use crate::{Csv, Lines, NdJson, Source};

    impl Source<Lines> {
        /// The lines of a file, plain or gzip. Keeps each for its dead letter.
        pub fn lines(name: impl Into<StageName>, path: impl AsRef<Path>) -> Self {
            Self::new(name, Lines::new(path)).keep_original()
        }
    }

    impl Source<NdJson> {
        /// The lines of a file of JSON values, plain or gzip. Keeps each for its dead letter.
        pub fn ndjson(name: impl Into<StageName>, path: impl AsRef<Path>) -> Self {
            Self::new(name, NdJson::new(path)).keep_original()
        }
    }

    impl Source<Csv> {
        /// The rows of a CSV file, plain or gzip. Keeps each for its dead letter.
        pub fn csv(name: impl Into<StageName>, path: impl AsRef<Path>) -> Self {
            Self::new(name, Csv::new(path)).keep_original()
        }
    }
}
