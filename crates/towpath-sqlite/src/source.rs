//! A queue as a source.

mod acknowledger;
mod feed;
mod message;
mod options;

use towpath_connector::Leases;
use towpath_core::{BoxError, Intake, Lag, Peer, Permanent, Producer, Received, Redelivery};
use towpath_options::InvalidOptions;

pub use acknowledger::{SqliteAcknowledger, SqliteToken};
pub use message::SqliteMessage;
pub use options::SqliteSourceOptions;

use crate::{SqliteQueue, SqliteQueueError, queue::book::Lent};
use feed::Feed;

/// Takes messages out of a [`SqliteQueue`], as many as are asked for.
///
/// A message is lent: it stays in the file until it is settled. Done, dropped or rejected, it
/// goes; given back, it comes again after the delay that was asked for, its attempts counted.
/// When nobody settles it, because the process was killed say, it comes again once its lease
/// has run out. What is settled too late, after somebody else was lent the message, changes
/// nothing and counts as stale.
///
/// Messages come in the order in which they became available: first those that were put in
/// first, but one that was delayed or given back when its time has come. Several sources,
/// in any number of processes, share the messages of a queue.
///
/// ```
/// use towpath_sqlite::{SqliteSource, SqliteSourceOptions};
///
/// let source = SqliteSource::new(SqliteSourceOptions::new("orders.queue"))?;
/// # let _ = source;
/// # Ok::<(), towpath_options::InvalidOptions>(())
/// ```
#[derive(Debug)]
pub struct SqliteSource {
    options: SqliteSourceOptions,
    queue: Option<SqliteQueue>,
    feed: Option<Feed>,
    leases: Leases<Lent>,
    lag: Lag,
}

impl SqliteSource {
    /// Takes from the queue in a file; the file is opened when the pipeline starts.
    ///
    /// # Errors
    /// Fails when the options cannot be used.
    pub fn new(options: SqliteSourceOptions) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self {
            leases: Leases::new(options.hold_at_most),
            options,
            queue: None,
            feed: None,
            lag: Lag::default(),
        })
    }

    /// Takes from a queue that is open. What is put in through the same handle, or a clone of
    /// it, is noticed at once. Path and queue of the options are not looked at.
    ///
    /// # Errors
    /// Fails when the options cannot be used.
    pub fn of(queue: &SqliteQueue, options: SqliteSourceOptions) -> Result<Self, InvalidOptions> {
        let mut source = Self::new(options)?;
        source.queue = Some(queue.clone());
        Ok(source)
    }

    async fn opened(&mut self) -> Result<SqliteQueue, SqliteQueueError> {
        if let Some(queue) = &self.queue {
            return Ok(queue.clone());
        }
        let (path, options) = (self.options.path.clone(), self.options.queue.clone());
        let queue = SqliteQueue::opened(path, options).await?;
        Ok(self.queue.insert(queue).clone())
    }

    async fn feed(&mut self) -> Result<&mut Feed, SqliteQueueError> {
        let queue = self.opened().await?;
        let make = || {
            let options = self.options.clone();
            Feed::new(queue, options, self.leases.clone(), self.lag.clone())
        };
        Ok(self.feed.get_or_insert_with(make))
    }
}

impl SqliteQueue {
    /// A source that takes from this queue, with what the options are unless set.
    pub fn source(&self) -> SqliteSource {
        let options = SqliteSourceOptions::new(self.path()).queue(self.options().clone());
        SqliteSource {
            leases: Leases::new(options.hold_at_most),
            options,
            queue: Some(self.clone()),
            feed: None,
            lag: Lag::default(),
        }
    }
}

impl Producer for SqliteSource {
    type Payload = SqliteMessage;
    type Acknowledger = SqliteAcknowledger;

    async fn open(&mut self) -> Result<(), BoxError> {
        self.feed().await?;
        Ok(())
    }

    async fn receive(
        &mut self,
        intake: &mut Intake<SqliteMessage, SqliteToken>,
    ) -> Result<Received, BoxError> {
        let received = match self.feed().await {
            Ok(feed) => feed.receive(intake).await,
            Err(error) => Err(error),
        };
        match received {
            Ok(()) => Ok(Received::More),
            Err(error) if error.is_permanent() => Err(Permanent::new(error).into()),
            Err(error) => Err(error.into()),
        }
    }

    async fn drain(
        &mut self,
        _intake: &mut Intake<SqliteMessage, SqliteToken>,
    ) -> Result<(), BoxError> {
        if let Some(feed) = &mut self.feed {
            feed.give_back().await?;
        }
        Ok(())
    }

    fn acknowledger(&mut self) -> Option<SqliteAcknowledger> {
        Some(SqliteAcknowledger {
            queue: self.queue.clone()?,
            leases: self.leases.clone(),
            lease: self.options.lease,
            lag: self.lag.clone(),
        })
    }

    fn redelivery(&self) -> Redelivery {
        Redelivery::Durable
    }

    fn peer(&self) -> Peer {
        let name = self.options.path.file_name();
        let name = name.unwrap_or(self.options.path.as_os_str());
        Peer::new("sqlite").destination(name.to_string_lossy())
    }

    fn lag(&self) -> Option<Lag> {
        Some(self.lag.clone())
    }
}
