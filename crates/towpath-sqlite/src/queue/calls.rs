//! Calls from any thread, worked on together on the thread of the file.

use std::{path::Path, sync::Arc};

use async_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;
use tokio::sync::watch;

use super::{
    SqliteQueueError,
    book::{Book, Peeked},
    schema,
};
use crate::{
    SqliteError, SqliteErrorKind, Sync,
    clock::Clock,
    connection::{Closing, Place},
    worker::Engine,
};

type Answer<T> = Result<T, SqliteQueueError>;

/// Something to do, with the way back to who wants it.
pub(crate) enum Job {
    /// Looks, without a transaction.
    Peek(Sender<Answer<Peeked>>),
    /// Changes something.
    Write(Box<dyn Write>),
}

/// A change that can be made again: alone, when it failed together with others.
pub(crate) trait Write: Send {
    /// Whether nobody waits for it any more.
    fn is_forgotten(&self) -> bool;

    /// Whether the disk must have it before it is answered.
    fn must_last(&self) -> bool;

    /// Makes the change. An error of the file spoils the transaction; a refusal changes
    /// nothing, and is kept as the answer.
    fn make(&mut self, book: &mut Book<'_>) -> Result<(), SqliteError>;

    /// Tells that the change is committed, or refused, or why it could not be made.
    fn answer(self: Box<Self>, failed: Option<SqliteError>);
}

struct Change<F, T> {
    make: F,
    must_last: bool,
    made: Option<Answer<T>>,
    answer: Sender<Answer<T>>,
}

/// The answer to come.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    path: Arc<Path>,
    answer: Receiver<Answer<T>>,
}

/// The file of a queue, on its thread.
pub(crate) struct Store {
    place: Place,
    connection: Connection,
    /// What the connection is set to.
    sync: Sync,
    clock: Clock,
    /// Told when something was made available.
    news: watch::Sender<u64>,
}

/// Why changes could not be made.
enum Unmade {
    File(SqliteError),
    Sqlite(rusqlite::Error),
}

impl From<SqliteError> for Unmade {
    fn from(error: SqliteError) -> Self {
        Self::File(error)
    }
}

impl From<rusqlite::Error> for Unmade {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

pub(crate) fn peek(path: &Arc<Path>) -> (Job, Reply<Peeked>) {
    let (answer, reply) = reply(path);
    (Job::Peek(answer), reply)
}

/// A change that must last, or one like a claim, of which a loss of power may leave nothing:
/// whoever had made it is gone then too.
pub(crate) fn write<T: Send + 'static>(
    path: &Arc<Path>,
    must_last: bool,
    make: impl FnMut(&mut Book<'_>) -> Answer<T> + Send + 'static,
) -> (Job, Reply<T>) {
    let (answer, reply) = reply(path);
    let change = Change {
        make,
        must_last,
        made: None,
        answer,
    };
    (Job::Write(Box::new(change)), reply)
}

fn reply<T>(path: &Arc<Path>) -> (Sender<Answer<T>>, Reply<T>) {
    let (answer, reply) = bounded(1);
    let path = path.clone();
    let reply = Reply {
        path,
        answer: reply,
    };
    (answer, reply)
}

// === impl Reply ===

impl<T> Reply<T> {
    /// # Cancel safety
    /// Cancel safe: an answer that was not taken is still there.
    pub(crate) async fn taken(&self) -> Answer<T> {
        let answer = self.answer.recv().await;
        answer.unwrap_or_else(|_| Err(self.closed()))
    }

    pub(crate) async fn wait(self) -> Answer<T> {
        self.taken().await
    }

    pub(crate) fn wait_blocking(self) -> Answer<T> {
        let answer = self.answer.recv_blocking();
        answer.unwrap_or_else(|_| Err(self.closed()))
    }

    fn closed(&self) -> SqliteQueueError {
        SqliteError::new(&self.path, SqliteErrorKind::Closed).into()
    }
}

// === impl Change ===

impl<F, T> Write for Change<F, T>
where
    F: FnMut(&mut Book<'_>) -> Answer<T> + Send,
    T: Send,
{
    fn is_forgotten(&self) -> bool {
        self.answer.is_closed()
    }

    fn must_last(&self) -> bool {
        self.must_last
    }

    fn make(&mut self, book: &mut Book<'_>) -> Result<(), SqliteError> {
        self.made = Some(match (self.make)(book) {
            Err(SqliteQueueError::File(error)) => return Err(error),
            answer => answer,
        });
        Ok(())
    }

    fn answer(self: Box<Self>, failed: Option<SqliteError>) {
        let answer = match failed {
            Some(error) => Some(Err(error.into())),
            None => self.made,
        };
        if let Some(answer) = answer {
            // Who asked may have gone.
            self.answer.try_send(answer).ok();
        }
    }
}

// === impl Store ===

impl Store {
    /// Opens the file of a queue; tells the queue's name too.
    pub(crate) fn open(
        place: Place,
        closing: &Closing,
        news: watch::Sender<u64>,
    ) -> Result<(Self, Arc<str>), SqliteQueueError> {
        let connection = place.connect(closing)?;
        let name = schema::prepare(&place.path, &connection)?;
        let store = Self {
            sync: place.sync,
            place,
            connection,
            clock: Clock::wall(),
            news,
        };
        Ok((store, Arc::from(name)))
    }

    /// Makes changes in one transaction; when that fails, each in one of its own, so that
    /// nobody fails for what another wanted.
    fn write(&mut self, mut changes: Vec<Box<dyn Write>>) {
        changes.retain(|change| !change.is_forgotten());
        if changes.is_empty() {
            return;
        }
        match self.write_together(&mut changes) {
            Ok(has_news) => {
                if has_news {
                    self.news
                        .send_modify(|count| *count = count.wrapping_add(1));
                }
                for change in changes {
                    change.answer(None);
                }
            }
            Err(error) if changes.len() == 1 || error.kind == SqliteErrorKind::Busy => {
                self.fail(changes, error);
            }
            Err(_) => changes
                .into_iter()
                .for_each(|change| self.write(vec![change])),
        }
    }

    fn write_together(&mut self, changes: &mut [Box<dyn Write>]) -> Result<bool, SqliteError> {
        let made = self.commit_together(changes);
        made.map_err(|made| match made {
            Unmade::File(error) => error,
            Unmade::Sqlite(error) => self.place.failed(error),
        })
    }

    fn commit_together(&mut self, changes: &mut [Box<dyn Write>]) -> Result<bool, Unmade> {
        self.set_sync(changes.iter().any(|change| change.must_last()))?;
        let mut book = Book::open(&self.connection, &self.place.path, &self.clock)?;
        // Whoever waited for a lock so long may have gone.
        for change in changes.iter_mut().filter(|change| !change.is_forgotten()) {
            change.make(&mut book)?;
        }
        Ok(book.close()?)
    }

    /// Waits for the disk where something must last, and lets what need not go with the next
    /// commit that does.
    fn set_sync(&mut self, must_last: bool) -> rusqlite::Result<()> {
        let without = self.place.sync.min(Sync::Normal);
        let sync = if must_last { self.place.sync } else { without };
        if sync != self.sync {
            self.connection
                .pragma_update(None, "synchronous", sync.word())?;
            self.sync = sync;
        }
        Ok(())
    }

    /// The same answer for all, though only one can have what SQLite said.
    fn fail(&self, changes: Vec<Box<dyn Write>>, error: SqliteError) {
        let kind = error.kind;
        let mut said = Some(error);
        for change in changes {
            let error = said.take();
            let error = error.unwrap_or_else(|| SqliteError::new(&self.place.path, kind));
            change.answer(Some(error));
        }
    }

    fn peek(&self) -> Answer<Peeked> {
        let peeked = Peeked::look(&self.connection, &self.clock);
        peeked.map_err(|error| self.place.failed(error).into())
    }
}

impl Engine for Store {
    type Job = Job;

    fn work(&mut self, jobs: Vec<Job>) {
        let mut changes = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                Job::Peek(answer) => {
                    answer.try_send(self.peek()).ok();
                }
                Job::Write(change) => changes.push(change),
            }
        }
        self.write(changes);
    }
}
