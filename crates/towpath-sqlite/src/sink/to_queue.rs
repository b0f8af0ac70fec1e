//! A queue as a sink: where one pipeline ends and another begins.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::OnceCell;
use towpath_connector::outgoing;
use towpath_core::{Batch, BoxError, Failure, Peer, Reach, Sink, SinkPromise, Written};
use towpath_options::InvalidOptions;

use super::{Answers, identity::Identities, options, peer, persistence};
use crate::{Entry, SqliteQueue, SqliteQueueError, SqliteQueueOptions, queue::book::Room};

type Maker<T> = Arc<dyn Fn(&T) -> Entry + Send + Sync>;

/// Puts each message into a [`SqliteQueue`], those of a batch in one transaction.
///
/// Headers go along: those of the entry, the trace of the message, and its attempts. While the
/// queue is full, its file locked or the disk full, the batch waits here, and so does all that
/// is behind it; what fits is put in. A message that is too large is rejected.
///
/// ```
/// use towpath_sqlite::{Entry, SqliteQueueOptions, SqliteQueueSink};
///
/// let make = |order: &(u32, String)| Entry::new(order.1.clone()).key(order.0.to_string());
/// let sink = SqliteQueueSink::new("orders.queue", SqliteQueueOptions::default(), make)?;
/// # let _ = sink;
/// # Ok::<(), towpath_options::InvalidOptions>(())
/// ```
pub struct SqliteQueueSink<T> {
    path: PathBuf,
    options: SqliteQueueOptions,
    make: Maker<T>,
    identities: Option<Identities<T>>,
    patience: Duration,
    queue: Arc<OnceCell<SqliteQueue>>,
    reach: Reach,
}

impl<T> SqliteQueueSink<T> {
    /// Puts what `make` makes of each message into the queue in a file, which is opened when
    /// the pipeline starts.
    ///
    /// # Errors
    /// Fails when the options cannot be used.
    pub fn new<E: Into<Entry>>(
        path: impl Into<PathBuf>,
        options: SqliteQueueOptions,
        make: impl Fn(&T) -> E + Send + Sync + 'static,
    ) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self::with(path.into(), options, make, OnceCell::new()))
    }

    fn with<E: Into<Entry>>(
        path: PathBuf,
        options: SqliteQueueOptions,
        make: impl Fn(&T) -> E + Send + Sync + 'static,
        queue: OnceCell<SqliteQueue>,
    ) -> Self {
        Self {
            path,
            options,
            make: Arc::new(move |item| make(item).into()),
            identities: None,
            patience: options::patience(),
            queue: Arc::new(queue),
            reach: Reach::default(),
        }
    }

    /// Gives each entry that has no dedup id the identity that the source gives its message:
    /// what comes again is not put in again, for as long as the queue remembers it.
    ///
    /// A message without identity is rejected, and so are messages of one batch that were made
    /// of one, as by `flat_map`: they have one identity together. For those there is
    /// [`deduplicated_by`](Self::deduplicated_by).
    #[must_use]
    pub fn deduplicated(mut self) -> Self {
        self.identities = Some(Identities::of_source("deduplicated_by"));
        self
    }

    /// As [`deduplicated`](Self::deduplicated), with an identity that is read out of the
    /// message: it must be the same whenever the message comes again, and different for any
    /// other.
    #[must_use]
    pub fn deduplicated_by(
        mut self,
        identity: impl Fn(&T) -> String + Send + Sync + 'static,
    ) -> Self {
        self.identities = Some(Identities::named(identity, "deduplicated_by"));
        self
    }

    /// How long a batch is tried while it cannot be put in; 5 minutes unless set. Then it goes
    /// back to its source.
    #[must_use]
    pub fn patience(mut self, at_most: Duration) -> Self {
        self.patience = at_most;
        self
    }

    async fn queue(&self) -> Result<&SqliteQueue, SqliteQueueError> {
        let open = || SqliteQueue::opened(self.path.clone(), self.options.clone());
        self.queue.get_or_try_init(open).await
    }

    /// Makes the entries of a batch, with their places in it.
    fn entries(
        &self,
        queue: &SqliteQueue,
        batch: &Batch<T>,
        answers: &mut Answers,
    ) -> Vec<(usize, Entry)> {
        let identities = self
            .identities
            .as_ref()
            .map(|identities| identities.of(batch));
        let mut identities = identities.map(Vec::into_iter);
        let mut entries = Vec::with_capacity(batch.len());
        for (place, item) in batch.iter().enumerate() {
            let mut entry = (self.make)(item);
            entry.headers = outgoing(batch, place, &entry.headers);
            let identity = identities.as_mut().and_then(Iterator::next);
            match identified(entry, identity).and_then(|entry| {
                queue.check(&entry)?;
                Ok(entry)
            }) {
                Ok(entry) => entries.push((place, entry)),
                Err(error) => answers.reject(place, error),
            }
        }
        entries
    }

    /// Puts entries in until all are, or patience is over.
    async fn persist(&self, entries: Vec<(usize, Entry)>, answers: &mut Answers) {
        let (places, entries): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        let mut rest = Rest {
            entries: Arc::from(entries),
            done: 0,
        };
        let mut tries = persistence(&self.reach, self.patience);
        loop {
            match tries.attempt(self.attempt(&mut rest)).await {
                Ok(Some(())) => break,
                Ok(None) => {}
                Err(error) => {
                    answers.retry_all(places[rest.done..].iter().copied(), &error);
                    break;
                }
            }
        }
    }

    /// One attempt at what is left to do.
    async fn attempt(&self, rest: &mut Rest) -> Result<(), BoxError> {
        let queue = self.queue().await?;
        while rest.done < rest.entries.len() {
            rest.done += queue.put(rest.clone(), Room::ForSome).await?.len();
        }
        Ok(())
    }
}

/// Entries of which the first ones are in.
#[derive(Clone)]
struct Rest {
    entries: Arc<[Entry]>,
    done: usize,
}

impl AsRef<[Entry]> for Rest {
    fn as_ref(&self) -> &[Entry] {
        &self.entries[self.done..]
    }
}

fn identified<E: Into<BoxError>>(
    entry: Entry,
    identity: Option<Result<String, E>>,
) -> Result<Entry, BoxError> {
    match identity {
        Some(identity) if entry.dedup_id.is_none() => {
            Ok(entry.dedup_id(identity.map_err(Into::into)?))
        }
        _ => Ok(entry),
    }
}

impl SqliteQueue {
    /// A sink that puts what `make` makes of each message into this queue.
    pub fn sink<T, E: Into<Entry>>(
        &self,
        make: impl Fn(&T) -> E + Send + Sync + 'static,
    ) -> SqliteQueueSink<T> {
        let queue = OnceCell::new_with(Some(self.clone()));
        SqliteQueueSink::with(self.path().to_owned(), self.options().clone(), make, queue)
    }
}

impl<T: Send + 'static> Sink<T> for SqliteQueueSink<T> {
    async fn open(&mut self) -> Result<(), BoxError> {
        self.queue().await?;
        Ok(())
    }

    async fn write(&mut self, batch: Batch<T>) -> Result<Written, BoxError> {
        let mut answers = Answers::default();
        let queue = self.queue().await.map_err(Failure::retry)?;
        let entries = self.entries(queue, &batch, &mut answers);
        if !entries.is_empty() {
            self.persist(entries, &mut answers).await;
        }
        Ok(answers.written())
    }

    fn peer(&self) -> Peer {
        peer(&self.path)
    }

    fn reach(&self) -> Option<Reach> {
        Some(self.reach.clone())
    }

    fn promise(&self) -> SinkPromise {
        match self.identities {
            Some(_) => SinkPromise::Idempotent,
            None => SinkPromise::Plain,
        }
    }
}

impl<T> Clone for SqliteQueueSink<T> {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            options: self.options.clone(),
            make: self.make.clone(),
            identities: self.identities.clone(),
            patience: self.patience,
            queue: self.queue.clone(),
            reach: self.reach.clone(),
        }
    }
}

impl<T> fmt::Debug for SqliteQueueSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteQueueSink")
            .field("path", &self.path)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
