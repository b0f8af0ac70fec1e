//! A sink that is slow to say that it has written.

use std::time::Duration;

use towpath::core::{Peer, Reach, SinkPromise};
use towpath::prelude::*;

/// At most this long.
const LONGEST_MILLIS: u64 = 30;

/// Answers for what is written a little later: whoever is killed meanwhile has done the work and
/// told nobody, which is the moment that makes duplicates.
#[derive(Clone, Debug)]
pub(super) struct Lingering<S>(pub(super) S);

impl<T: Send + 'static, S: Sink<T>> Sink<T> for Lingering<S> {
    async fn open(&mut self) -> Result<(), BoxError> {
        self.0.open().await
    }

    async fn write(&mut self, batch: Batch<T>) -> Result<Written, BoxError> {
        let written = self.0.write(batch).await?;
        let millis = fastrand::u64(..=LONGEST_MILLIS);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(written)
    }

    async fn flush(&mut self) -> Result<(), BoxError> {
        self.0.flush().await
    }

    fn flush_every(&self) -> Option<Duration> {
        self.0.flush_every()
    }

    fn reads_origins(&self) -> bool {
        self.0.reads_origins()
    }

    fn peer(&self) -> Peer {
        self.0.peer()
    }

    fn reach(&self) -> Option<Reach> {
        self.0.reach()
    }

    fn promise(&self) -> SinkPromise {
        self.0.promise()
    }
}
