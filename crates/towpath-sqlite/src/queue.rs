//! A durable queue in a file, shared by threads and processes.

pub(crate) mod book;
mod calls;
mod entry;
mod error;
mod headers;
mod options;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;

pub use book::Depth;
pub use entry::{Enqueued, Entry};
pub use error::SqliteQueueError;
pub use options::SqliteQueueOptions;

pub(crate) use calls::Reply;

use crate::{
    SqliteError, SqliteErrorKind,
    connection::Place,
    error::shared,
    worker::{Opened, Worker},
};
use book::{AtMost, Claim, Claimed, Lent, Peeked, Room, Settlement};
use calls::Job;

/// A durable queue in a SQLite file.
///
/// Any number of processes may open the same file, put messages in and work on them. A message
/// stays in the file until whoever works on it has settled it; what was put in is on the disk
/// when the call returns, as far as [`Sync`](crate::Sync) promises.
///
/// Clones share one connection, which a thread of its own has: calls from many tasks and
/// threads go into one transaction, and wait for the disk once. Dropping the last clone waits
/// for what that thread is doing.
///
/// ```
/// use towpath_sqlite::{Entry, SqliteQueue, SqliteQueueOptions};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("orders.queue");
/// let queue = SqliteQueue::open(path, SqliteQueueOptions::default())?;
/// queue.enqueue_blocking("first")?;
/// queue.enqueue_blocking(Entry::new("second").key("customer-7"))?;
/// assert_eq!(queue.depth_blocking()?.messages, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SqliteQueue(Arc<Inner>);

struct Inner {
    path: Arc<Path>,
    options: Arc<SqliteQueueOptions>,
    /// What it was named when it was made.
    name: Arc<str>,
    worker: Worker<Job>,
    /// Changes whenever this handle or a clone made something available.
    news: watch::Receiver<u64>,
}

impl SqliteQueue {
    /// Opens a queue, and makes its file where there is none; the folder must be there.
    ///
    /// Blocks the thread while the file is opened.
    ///
    /// # Errors
    /// Fails when the options or the file cannot be used, and when the file is something else.
    pub fn open(
        path: impl Into<PathBuf>,
        options: SqliteQueueOptions,
    ) -> Result<Self, SqliteQueueError> {
        let opening = Opening::begin(path.into(), options)?;
        let opened = opening.opened.recv_blocking();
        opening.finish(opened.ok())
    }

    /// The same, while others run.
    pub(crate) async fn opened(
        path: PathBuf,
        options: SqliteQueueOptions,
    ) -> Result<Self, SqliteQueueError> {
        let opening = Opening::begin(path, options)?;
        let opened = opening.opened.recv().await;
        opening.finish(opened.ok())
    }

    /// Puts a message in.
    ///
    /// Returns once it is in the file, on the disk as [`Sync`](crate::Sync) promises.
    ///
    /// # Errors
    /// Fails when the queue is full, the message too large, or the file cannot be written:
    /// then the message is not in.
    ///
    /// # Cancel safety
    /// Dropped, the message may be in the queue or not.
    pub async fn enqueue(&self, entry: impl Into<Entry>) -> Result<Enqueued, SqliteQueueError> {
        let done = self.enqueue_many([entry]).await?;
        self.only(&done)
    }

    /// Puts several messages in, in their order: all of them, or none.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Cancel safety
    /// Dropped, all of the messages may be in the queue, or none.
    pub async fn enqueue_many<E: Into<Entry>>(
        &self,
        entries: impl IntoIterator<Item = E>,
    ) -> Result<Vec<Enqueued>, SqliteQueueError> {
        let entries = self.checked(entries)?;
        self.put(entries, Room::ForAll).await
    }

    /// As [`enqueue`](Self::enqueue), and blocks the thread of the caller.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub fn enqueue_blocking(&self, entry: impl Into<Entry>) -> Result<Enqueued, SqliteQueueError> {
        let done = self.enqueue_many_blocking([entry])?;
        self.only(&done)
    }

    /// As [`enqueue_many`](Self::enqueue_many), and blocks the thread of the caller.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub fn enqueue_many_blocking<E: Into<Entry>>(
        &self,
        entries: impl IntoIterator<Item = E>,
    ) -> Result<Vec<Enqueued>, SqliteQueueError> {
        let entries = self.checked(entries)?;
        let options = self.0.options.clone();
        let call = self.call(move |book| book.enqueue(&entries, Room::ForAll, &options));
        call.send_blocking()?.wait_blocking()
    }

    /// How much is in the queue, by all processes.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    pub async fn depth(&self) -> Result<Depth, SqliteQueueError> {
        Ok(self.peek().await?.depth)
    }

    /// As [`depth`](Self::depth), and blocks the thread of the caller.
    ///
    /// # Errors
    /// Fails when the file cannot be read.
    pub fn depth_blocking(&self) -> Result<Depth, SqliteQueueError> {
        let (job, reply) = calls::peek(&self.0.path);
        let sent = self.0.worker.send_blocking(job);
        sent.map_err(|_| self.closed())?;
        Ok(reply.wait_blocking()?.depth)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The options that it was opened with.
    pub fn options(&self) -> &SqliteQueueOptions {
        &self.0.options
    }

    fn checked<E: Into<Entry>>(
        &self,
        entries: impl IntoIterator<Item = E>,
    ) -> Result<Vec<Entry>, SqliteQueueError> {
        let entries = entries.into_iter().map(|entry| {
            let entry = entry.into();
            self.check(&entry)?;
            Ok(entry)
        });
        entries.collect()
    }

    /// Refuses a message that never fits.
    pub(crate) fn check(&self, entry: &Entry) -> Result<(), SqliteQueueError> {
        let options = &self.0.options;
        let limits = [
            ("max_message_bytes", options.max_message_bytes),
            ("max_bytes", options.max_bytes),
        ];
        let bytes = entry.weight();
        match limits.into_iter().find(|(_, limit)| bytes > *limit) {
            Some((option, limit)) => Err(SqliteQueueError::TooLarge {
                bytes,
                limit,
                option,
            }),
            None => Ok(()),
        }
    }

    fn only(&self, done: &[Enqueued]) -> Result<Enqueued, SqliteQueueError> {
        done.first().copied().ok_or_else(|| self.closed())
    }

    fn closed(&self) -> SqliteQueueError {
        SqliteError::new(&self.0.path, SqliteErrorKind::Closed).into()
    }
}

/// What sources and sinks do.
impl SqliteQueue {
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Changes whenever something was made available through this handle or a clone.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.0.news.clone()
    }

    pub(crate) async fn put(
        &self,
        entries: impl AsRef<[Entry]> + Send + 'static,
        room: Room,
    ) -> Result<Vec<Enqueued>, SqliteQueueError> {
        let options = self.0.options.clone();
        let call = self.call(move |book| book.enqueue(entries.as_ref(), room, &options));
        call.send().await?.wait().await
    }

    pub(crate) async fn peek(&self) -> Result<Peeked, SqliteQueueError> {
        let (job, reply) = calls::peek(&self.0.path);
        self.0.worker.send(job).await.map_err(|_| self.closed())?;
        reply.wait().await
    }

    /// Asks for messages; they come with the reply.
    pub(crate) async fn claim(
        &self,
        at_most: AtMost,
        lease: Duration,
    ) -> Result<Reply<Claim>, SqliteQueueError> {
        self.call(move |book| book.claim(at_most, lease))
            .send()
            .await
    }

    pub(crate) async fn release(&self, messages: Vec<Claimed>) -> Result<(), SqliteQueueError> {
        let call = self.passing(move |book| book.release(&messages));
        call.send().await?.wait().await
    }

    pub(crate) async fn settle(
        &self,
        run: Vec<Settlement>,
    ) -> Result<(usize, Depth), SqliteQueueError> {
        let call = self.call(move |book| Ok((book.settle(&run)?, book.depth())));
        call.send().await?.wait().await
    }

    pub(crate) async fn extend(
        &self,
        lent: Vec<Lent>,
        lease: Duration,
    ) -> Result<Depth, SqliteQueueError> {
        let call = self.passing(move |book| {
            book.extend(&lent, lease)?;
            Ok(book.depth())
        });
        call.send().await?.wait().await
    }

    /// A change that is on the disk when it is answered.
    fn call<T: Send + 'static>(
        &self,
        make: impl FnMut(&mut book::Book<'_>) -> Result<T, SqliteQueueError> + Send + 'static,
    ) -> Call<'_, T> {
        Call::new(self, calls::write(&self.0.path, true, make))
    }

    /// A change that a loss of power may undo, with those who made it.
    fn passing<T: Send + 'static>(
        &self,
        make: impl FnMut(&mut book::Book<'_>) -> Result<T, SqliteQueueError> + Send + 'static,
    ) -> Call<'_, T> {
        Call::new(self, calls::write(&self.0.path, false, make))
    }
}

/// A job that is to be sent.
struct Call<'q, T> {
    queue: &'q SqliteQueue,
    job: Job,
    reply: Reply<T>,
}

impl<'q, T> Call<'q, T> {
    fn new(queue: &'q SqliteQueue, (job, reply): (Job, Reply<T>)) -> Self {
        Self { queue, job, reply }
    }

    async fn send(self) -> Result<Reply<T>, SqliteQueueError> {
        let sent = self.queue.0.worker.send(self.job).await;
        sent.map_err(|_| self.queue.closed())?;
        Ok(self.reply)
    }

    fn send_blocking(self) -> Result<Reply<T>, SqliteQueueError> {
        let sent = self.queue.0.worker.send_blocking(self.job);
        sent.map_err(|_| self.queue.closed())?;
        Ok(self.reply)
    }
}

/// A queue whose thread opens the file.
struct Opening {
    path: Arc<Path>,
    options: SqliteQueueOptions,
    worker: Worker<Job>,
    news: watch::Receiver<u64>,
    opened: Opened<Arc<str>, SqliteQueueError>,
}

impl Opening {
    fn begin(path: PathBuf, options: SqliteQueueOptions) -> Result<Self, SqliteQueueError> {
        options.validate()?;
        let path = shared(path);
        let place = Place {
            path: path.clone(),
            sync: options.sync,
            busy_timeout: options.busy_timeout,
            create: options.create,
        };
        let (told, news) = watch::channel(0);
        let (worker, opened) =
            Worker::start(move |closing| calls::Store::open(place, closing, told));
        Ok(Self {
            path,
            options,
            worker,
            news,
            opened,
        })
    }

    fn finish(
        self,
        opened: Option<Result<Arc<str>, SqliteQueueError>>,
    ) -> Result<SqliteQueue, SqliteQueueError> {
        let closed = || SqliteError::new(&self.path, SqliteErrorKind::Closed);
        let name = opened.ok_or_else(closed)??;
        Ok(SqliteQueue(Arc::new(Inner {
            name,
            path: self.path,
            options: Arc::new(self.options),
            worker: self.worker,
            news: self.news,
        })))
    }
}

impl fmt::Debug for SqliteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteQueue")
            .field("path", &self.0.path)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
