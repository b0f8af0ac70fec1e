//! A stream of JetStream, as a source.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::{self, consumer::PullConsumer, stream};
use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use towpath::BoxError;
use towpath_test_servers::Nats;

use super::{Part, SourcePart, runtime};
use crate::clock::Deadline;
use crate::feed::Feed;
use crate::payload::Row;

/// The stream, and its only subject.
pub(crate) const STREAM: &str = "killtest";

/// The durable consumer that the pipeline processes share.
pub(crate) const CONSUMER: &str = "pipeline";

/// Of an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the server keeps what it has confirmed of a consumer, up to ten times a second, later.
const ACCOUNT: &str = "data/jetstream/$G/streams";
const CONSUMERS: &str = "obs";
const STATE: &str = "o.dat";

/// Where nothing is confirmed, nothing more is written.
const TO_WRITE: Duration = Duration::from_secs(2);

/// What is being written now may be older; and of the last only the beginning may be there.
const WRITES: usize = 3;

pub(crate) struct Stream {
    server: Nats,
    runtime: Runtime,
}

// === impl Stream ===

impl Stream {
    pub(super) fn create() -> Result<Self, BoxError> {
        let created = Self {
            server: Nats::start()?,
            runtime: runtime()?,
        };
        let config = stream::Config {
            name: STREAM.to_owned(),
            ..stream::Config::default()
        };
        created.runtime.block_on(async {
            created.context().await?.create_stream(config).await?;
            Ok::<_, BoxError>(())
        })?;
        Ok(created)
    }

    /// The file that tells how far the consumer is.
    fn state_path(&self) -> PathBuf {
        let streams = self.server.log_path().with_file_name(ACCOUNT);
        streams
            .join(STREAM)
            .join(CONSUMERS)
            .join(CONSUMER)
            .join(STATE)
    }

    async fn context(&self) -> Result<jetstream::Context, BoxError> {
        let client = async_nats::connect(self.server.url()).await?;
        let mut context = jetstream::new(client);
        context.set_timeout(PATIENCE);
        Ok(context)
    }

    async fn ask_left(&self) -> Result<u64, BoxError> {
        let stream = self.context().await?.get_stream(STREAM).await?;
        let mut consumer: PullConsumer = stream.get_consumer(CONSUMER).await?;
        let info = consumer.info().await?;
        Ok(info.num_pending + info.num_ack_pending as u64)
    }
}

impl Part for Stream {
    fn address(&self) -> String {
        self.server.url()
    }

    fn is_server(&self) -> bool {
        true
    }

    fn kill(&mut self) -> Result<(), BoxError> {
        self.server.kill();
        Ok(())
    }

    fn restart(&mut self) -> Result<(), BoxError> {
        Ok(self.server.restart()?)
    }
}

impl SourcePart for Stream {
    fn feed(&self) -> Result<Box<dyn Feed>, BoxError> {
        let runtime = runtime()?;
        let context = runtime.block_on(self.context())?;
        Ok(Box::new(Publisher { runtime, context }))
    }

    fn left(&mut self) -> Result<u64, BoxError> {
        self.runtime.block_on(self.ask_left())
    }

    fn await_written(&self) {
        let state = self.state_path();
        let written = || fs::metadata(&state).and_then(|found| found.modified()).ok();
        let (mut last, mut writes) = (written(), 0);
        Deadline::after(TO_WRITE).poll(|| {
            let now = written();
            writes += usize::from(now != last);
            last = now;
            (writes >= WRITES).then_some(())
        });
    }
}

struct Publisher {
    runtime: Runtime,
    context: jetstream::Context,
}

// === impl Publisher ===

impl Publisher {
    async fn publish(&self, row: &Row) -> bool {
        let published = async {
            let sent = self.context.publish(STREAM, row.encoded().into()).await?;
            sent.await
        };
        matches!(timeout(PATIENCE, published).await, Ok(Ok(_)))
    }
}

impl Feed for Publisher {
    fn send(&mut self, rows: &[Row]) -> Vec<bool> {
        let all = join_all(rows.iter().map(|row| self.publish(row)));
        self.runtime.block_on(all)
    }
}
