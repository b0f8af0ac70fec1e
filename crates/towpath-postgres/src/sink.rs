//! A sink that writes batches in transactions.

mod identity;
mod options;
mod row;
mod schema;
mod search;
mod session;
mod statements;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use towpath_connector::{Backoff, Persistence};
use towpath_core::{Batch, BoxError, Failure, Peer, Reach, Sink, SinkPromise, Verdicts, Written};
use towpath_options::InvalidOptions;

pub use options::{Once, PostgresSinkOptions, Target};
pub use row::Row;
pub use schema::applied_schema;

use crate::{PostgresError, error::Kind, link::Dialer, queue::in_turn};
use identity::Name;
use row::{Columns, Rows, Write};
use search::Search;
use session::{PART, Refused, Session, TRANSACTION, Work, forget_again};

/// How often a batch is tried at once when somebody else is in its way.
const CONFLICTS: u32 = 10;
/// When a batch that nobody took comes again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// In a part of a transaction all that is wrong shows at its end, and not at the very end.
const SEARCH: &str = "BEGIN; SET CONSTRAINTS ALL IMMEDIATE";

/// Writes the messages of a batch in one transaction.
///
/// A row that the server refuses is rejected, with what the server says, and the others are
/// written. While the server is away the batch waits.
///
/// A clone writes on a connection of its own, for sinks with several workers.
///
/// ```
/// use towpath::prelude::*;
/// use towpath_postgres::{PostgresSink, PostgresSinkOptions, Row};
///
/// struct Order { id: i64, customer: String }
///
/// # fn example() -> Result<(), BoxError> {
/// let columns = ["id", "customer"];
/// let options = PostgresSinkOptions::copy_into("postgres://localhost/shop", "orders", columns);
/// let sink = PostgresSink::new(options, |order: &Order, row: &mut Row<'_>| {
///     row.add(order.id).add(&order.customer);
/// })?;
/// # let _ = sink;
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
pub struct PostgresSink<T> {
    options: Arc<PostgresSinkOptions>,
    write: Arc<Write<T>>,
    name: Option<Arc<Name<T>>>,
    dialer: Dialer,
    session: Option<Session>,
    reach: Reach,
    forget_at: Option<Instant>,
}

/// A batch, and what is known of it so far.
struct Job<T> {
    batch: Batch<T>,
    /// The rows as they are for these columns.
    work: Option<(Columns, Work)>,
    /// Those that could not even be written down.
    unwritten: Vec<(usize, BoxError)>,
    /// Whether an earlier attempt had no answer, and may have been done.
    is_in_doubt: bool,
}

// === impl PostgresSink ===

impl<T: Send + Sync + 'static> PostgresSink<T> {
    /// A sink that writes the rows which `write` makes of messages.
    ///
    /// # Errors
    /// Fails with everything that is wrong with the options.
    pub fn new(
        options: PostgresSinkOptions,
        write: impl Fn(&T, &mut Row<'_>) + Send + Sync + 'static,
    ) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self {
            dialer: Dialer::new(options.server.clone()),
            options: Arc::new(options),
            write: Arc::new(write),
            name: None,
            session: None,
            reach: Reach::default(),
            forget_at: None,
        })
    }

    /// Reads the identity that `once` needs out of each message, in place of that which its
    /// source gives it: it must be the same whenever the message comes again, and different for
    /// any other. For messages that were made of one, as by `flat_map`, and for sources without
    /// identities.
    #[must_use]
    pub fn once_by(mut self, identity: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        self.name = Some(Arc::new(identity));
        self
    }

    /// Makes the table that `once` needs, where it is not there, as [`applied_schema`] says.
    /// Without `once` there is nothing to make.
    ///
    /// # Errors
    /// Fails when the server cannot be reached or refuses.
    ///
    /// # Cancel safety
    /// Cancel safe: all of it is made, or nothing.
    pub async fn create_applied(&mut self) -> Result<(), PostgresError> {
        let Some(once) = &self.options.once else {
            return Ok(());
        };
        let script = in_turn(&applied_schema(&once.table));
        let mut link = self.dialer.connect().await?;
        let client = link.client.clone();
        link.call("once.table", client.batch_execute(&script)).await
    }

    /// Tries to write the batch; what the server refuses is a part of the answer.
    async fn attempt(&mut self, job: &mut Job<T>) -> Result<Vec<(usize, BoxError)>, BoxError> {
        let open = self.session.take().filter(|session| !session.is_closed());
        let mut session = match open {
            Some(session) => session,
            None => Session::open(&mut self.dialer, &self.options).await?,
        };
        let name = self.name.as_deref();
        session.begin().await;
        job.encode(&session.columns, &self.options, &*self.write, name);
        let rejected = job.put(&mut session).await?;
        self.session = Some(session);
        Ok(rejected)
    }

    /// Forgets old identities, once in a while. They are of no use, and of no harm either.
    async fn forget(&mut self) {
        let Some(once) = &self.options.once else {
            return;
        };
        if self.forget_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        let Some(mut session) = self.session.take() else {
            return;
        };
        let more = session.forget(once).await;
        self.forget_at = Some(Instant::now() + forget_again(matches!(more, Ok(true))));
        if more.is_ok() {
            self.session = Some(session);
        }
    }
}

impl<T: Send + Sync + 'static> Sink<T> for PostgresSink<T> {
    async fn write(&mut self, batch: Batch<T>) -> Result<Written, BoxError> {
        let mut job = Job::new(batch);
        let mut tries = Persistence::new(self.reach.clone(), self.options.patience);
        let rejected = loop {
            let answer = tries.attempt(self.attempt(&mut job)).await;
            let answer = answer.map_err(|error| Failure::retry(error).after(AGAIN_AFTER))?;
            if let Some(rejected) = answer {
                break rejected;
            }
        };
        self.forget().await;
        let verdicts = rejected.into_iter().chain(job.unwritten);
        Ok(verdicts
            .fold(Verdicts::done(), |verdicts, (place, error)| {
                verdicts.reject(place, error)
            })
            .into())
    }

    fn peer(&self) -> Peer {
        let peer = Peer::new("postgresql");
        match self.options.target.table() {
            Some(table) => peer.destination(table.plain()),
            None => peer,
        }
    }

    fn reach(&self) -> Option<Reach> {
        Some(self.reach.clone())
    }

    fn promise(&self) -> SinkPromise {
        let replaces = matches!(self.options.target, Target::Upsert { .. });
        if replaces || self.options.once.is_some() {
            SinkPromise::Idempotent
        } else {
            SinkPromise::Plain
        }
    }
}

impl<T> Clone for PostgresSink<T> {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            write: self.write.clone(),
            name: self.name.clone(),
            dialer: Dialer::new(self.options.server.clone()),
            session: None,
            reach: self.reach.clone(),
            forget_at: None,
        }
    }
}

impl<T> fmt::Debug for PostgresSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSink")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

// === impl Job ===

impl<T> Job<T> {
    fn new(batch: Batch<T>) -> Self {
        Self {
            batch,
            work: None,
            unwritten: Vec::new(),
            is_in_doubt: false,
        }
    }

    /// Writes the rows down for these columns, unless that is done.
    fn encode(
        &mut self,
        columns: &Columns,
        options: &PostgresSinkOptions,
        write: &Write<T>,
        name: Option<&Name<T>>,
    ) {
        if self
            .work
            .as_ref()
            .is_some_and(|(known, _)| known == columns)
        {
            return;
        }
        let most = usize::try_from(options.max_row_bytes).unwrap_or(usize::MAX);
        let (mut rows, failed) = Rows::encode(&self.batch, columns, write, most);
        let failed = failed.into_iter();
        self.unwritten = failed
            .map(|(place, error)| (place, error.into_cause()))
            .collect();
        let mut notes = Vec::new();
        if options.once.is_some() {
            for (place, note) in identity::notes(&self.batch, name).into_iter().enumerate() {
                let note = note.map_err(|error| {
                    if rows.leave_out(place) {
                        self.unwritten.push((place, error));
                    }
                });
                notes.push(note.ok());
            }
        }
        self.work = Some((columns.clone(), Work { rows, notes }));
    }

    /// Writes the rows; returns those that the server refuses.
    async fn put(&mut self, session: &mut Session) -> Result<Vec<(usize, BoxError)>, BoxError> {
        let Some((_, work)) = &self.work else {
            return Ok(Vec::new());
        };
        let rows = work.rows.all();
        if rows.is_empty() && !session.has_begun() {
            return Ok(Vec::new());
        }
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(500));
        for conflicts in 0.. {
            let error = match put(session, work, &rows).await {
                Ok(rejected) => return Ok(told(rejected, self.is_in_doubt)),
                Err(error) => error,
            };
            self.is_in_doubt |= error.leaves_doubt();
            if error.kind() != Kind::Conflict || conflicts == CONFLICTS {
                return Err(error.into());
            }
            sleep(backoff.next()).await;
        }
        Ok(Vec::new())
    }
}

fn told(rejected: Vec<(usize, PostgresError)>, is_in_doubt: bool) -> Vec<(usize, BoxError)> {
    let rejected = rejected.into_iter().map(|(place, error)| {
        let error = if is_in_doubt {
            error.and("; an earlier attempt had no answer, and may have written the row")
        } else {
            error
        };
        (place, error.into())
    });
    rejected.collect()
}

/// Writes rows in a transaction: as a whole first, then without those that are refused.
async fn put(
    session: &mut Session,
    work: &Work,
    rows: &[usize],
) -> Result<Vec<(usize, PostgresError)>, PostgresError> {
    match session.put(work, rows, TRANSACTION).await {
        Ok(()) => Ok(Vec::new()),
        Err(Refused { error, hint }) if error.kind() == Kind::Row => {
            let search = Search::new(rows.len(), hint);
            let found = search_and_write(session, work, rows, search).await;
            if found.is_err() && !session.is_closed() {
                session.say("ROLLBACK").await?;
            }
            found
        }
        Err(Refused { error, .. }) => Err(error),
    }
}

/// Writes all rows but those that the server refuses, in one transaction.
async fn search_and_write(
    session: &mut Session,
    work: &Work,
    rows: &[usize],
    mut search: Search,
) -> Result<Vec<(usize, PostgresError)>, PostgresError> {
    session.say(SEARCH).await?;
    let mut rejected = Vec::new();
    while let Some(run) = search.next() {
        match session.put(work, &rows[run.clone()], PART).await {
            Ok(()) => {}
            Err(Refused { error, hint }) if error.kind() == Kind::Row => {
                let hint = hint.map(|hint| run.start + hint);
                if let Some(row) = search.refused(run, hint) {
                    rejected.push((rows[row], error));
                }
            }
            Err(Refused { error, .. }) => return Err(error),
        }
    }
    session.say("COMMIT").await?;
    Ok(rejected)
}
