//! Tables as sinks.

mod bind;
mod error;
mod file;
mod identity;
mod options;
mod statement;
mod to_queue;
mod value;

use std::{collections::HashSet, fmt, path::Path, sync::Arc, time::Duration};

use tokio::sync::OnceCell;
use towpath_connector::{Backoff, OutOfPatience, Persistence};
use towpath_core::{Batch, BoxError, Failure, Peer, Reach, Sink, SinkPromise, Verdicts, Written};
use towpath_options::{InvalidOptions, Problems};

pub use bind::{Bind, BindError, Bound};
pub use error::{RefusedRow, SqliteSinkError};
pub use identity::IdentityError;
pub use options::SqliteSinkOptions;
pub use to_queue::SqliteQueueSink;
pub use value::Value;

use file::{File, Row};
use identity::Identities;
use statement::Script;

/// The first and the longest pause before a file is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

type Binder<T> = Arc<dyn Fn(&T, &mut Bind<'_>) -> Result<(), BoxError> + Send + Sync>;

/// Runs a statement for each message, those of a batch in one transaction.
///
/// A row that SQLite refuses fails alone: its message is rejected with what SQLite said, and
/// the others are written. While the file is locked by others or the disk is full, the batch
/// waits here, and so does all that is behind it; [`Reach`] says why.
///
/// Clones share one connection, which a thread of its own has: the batches of several workers
/// go into one transaction where they come together.
///
/// ```
/// use towpath_sqlite::SqliteSink;
///
/// struct Order { id: u64, item: String }
///
/// let insert = "INSERT INTO orders (id, item) VALUES (:id, :item)";
/// let sink = SqliteSink::statement("shop.db", insert, |order: &Order, bind| {
///     bind.set("id", order.id).set("item", &order.item);
/// })?;
/// # let _ = sink;
/// # Ok::<(), towpath_options::InvalidOptions>(())
/// ```
pub struct SqliteSink<T> {
    options: SqliteSinkOptions,
    script: Script,
    binder: Binder<T>,
    identities: Option<Identities<T>>,
    promise: SinkPromise,
    file: Arc<OnceCell<File>>,
    reach: Reach,
}

impl<T> SqliteSink<T> {
    /// Runs `statement` for each message; `bind` binds its parameters.
    ///
    /// The file and its tables must be there when the pipeline starts, unless
    /// [`setup`](Self::setup) makes them.
    ///
    /// # Errors
    /// Fails when the options cannot be used.
    pub fn statement<R: Bound>(
        options: impl Into<SqliteSinkOptions>,
        statement: impl Into<String>,
        bind: impl Fn(&T, &mut Bind<'_>) -> R + Send + Sync + 'static,
    ) -> Result<Self, InvalidOptions> {
        let (options, statement) = (options.into(), statement.into());
        let mut problems = Problems::new();
        options.look(&mut problems);
        if statement.trim().is_empty() {
            problems.add("statement", "is empty");
        }
        problems.into_result()?;
        Ok(Self::new(options, statement, bind, SinkPromise::Plain))
    }

    /// Inserts a row for each message, or updates the one with the same key; `bind` binds the
    /// columns in their order.
    ///
    /// The key columns need a unique index or be the primary key. A message that comes twice
    /// leaves the same row.
    ///
    /// # Errors
    /// Fails when the options cannot be used, and for keys that are none of the columns.
    ///
    /// ```
    /// use towpath_sqlite::SqliteSink;
    ///
    /// let (columns, keys) = (["id", "stock"], ["id"]);
    /// let sink = SqliteSink::upsert("shop.db", "items", &columns, &keys, |item: &(u32, i64), bind| {
    ///     bind.push(item.0).push(item.1);
    /// })?;
    /// # let _ = sink;
    /// # Ok::<(), towpath_options::InvalidOptions>(())
    /// ```
    pub fn upsert<R: Bound>(
        options: impl Into<SqliteSinkOptions>,
        table: &str,
        columns: &[&str],
        key_columns: &[&str],
        bind: impl Fn(&T, &mut Bind<'_>) -> R + Send + Sync + 'static,
    ) -> Result<Self, InvalidOptions> {
        let options = options.into();
        let mut problems = Problems::new();
        options.look(&mut problems);
        statement::look(table, columns, key_columns, &mut problems);
        problems.into_result()?;
        let statement = statement::upsert(table, columns, key_columns);
        Ok(Self::new(options, statement, bind, SinkPromise::Idempotent))
    }

    fn new<R: Bound>(
        options: SqliteSinkOptions,
        statement: String,
        bind: impl Fn(&T, &mut Bind<'_>) -> R + Send + Sync + 'static,
        promise: SinkPromise,
    ) -> Self {
        Self {
            options,
            script: Script {
                setup: Vec::new(),
                statement,
                applied: None,
            },
            binder: Arc::new(move |item, row| bind(item, row).bound()),
            identities: None,
            promise,
            file: Arc::default(),
            reach: Reach::default(),
        }
    }

    /// Runs statements as the file is opened, such as `CREATE TABLE IF NOT EXISTS`; a file
    /// that is not there is made then.
    #[must_use]
    pub fn setup(mut self, statements: impl Into<String>) -> Self {
        self.script.setup.push(statements.into());
        self.anew()
    }

    /// Runs the statement once for each message, whatever it does and however often the
    /// message comes: the identity that its source gives it is put into `table` in the same
    /// transaction, and a message whose identity is there already is done.
    ///
    /// The table is made where there is none. An identity is remembered for as long as the
    /// options say, a week unless set. A message without identity is rejected, and so are
    /// messages of one batch that were made of one, as by `flat_map`: they have one identity
    /// together; for those there is [`once_by`](Self::once_by).
    #[must_use]
    pub fn once(self, table: impl Into<String>) -> Self {
        self.applied(table, Identities::of_source("once_by"))
    }

    /// As [`once`](Self::once), with an identity that is read out of the message: it must be
    /// the same whenever the message comes again, and different for any other.
    #[must_use]
    pub fn once_by(
        self,
        table: impl Into<String>,
        identity: impl Fn(&T) -> String + Send + Sync + 'static,
    ) -> Self {
        self.applied(table, Identities::named(identity, "once_by"))
    }

    fn applied(mut self, table: impl Into<String>, identities: Identities<T>) -> Self {
        self.script.applied = Some(table.into());
        self.identities = Some(identities);
        self.promise = SinkPromise::Idempotent;
        self.anew()
    }

    /// Says that the statement leaves the same when it is run twice, by what it does itself.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.promise = SinkPromise::Idempotent;
        self
    }

    /// Shares its file with no clone that was made before.
    fn anew(mut self) -> Self {
        self.file = Arc::default();
        self
    }

    async fn file(&self) -> Result<&File, SqliteSinkError> {
        let open = || File::open(&self.options, &self.script);
        self.file.get_or_try_init(open).await
    }

    /// Binds the rows of a batch; those that cannot be bound are rejected.
    fn bind(&self, file: &File, batch: &Batch<T>, verdicts: &mut Answers) -> Vec<Row> {
        let identities = self
            .identities
            .as_ref()
            .map(|identities| identities.of(batch));
        let mut identities = identities.map(Vec::into_iter);
        let mut rows = Vec::with_capacity(batch.len());
        for (place, item) in batch.iter().enumerate() {
            let identity = identities.as_mut().and_then(Iterator::next).transpose();
            let row = identity.map_err(BoxError::from).and_then(|identity| {
                let mut bind = Bind::new(&file.parameters);
                (self.binder)(item, &mut bind)?;
                let values = bind.finish()?;
                Ok(Row {
                    place,
                    values,
                    identity,
                })
            });
            match row {
                Ok(row) => rows.push(row),
                Err(error) => verdicts.reject(place, error),
            }
        }
        rows
    }

    /// Writes rows until all have an answer, or patience is over.
    async fn persist(&self, rows: Vec<Row>, answers: &mut Answers) {
        let mut todo: Vec<usize> = (0..rows.len()).collect();
        let rows = Arc::new(rows);
        let mut tries = persistence(&self.reach, self.options.patience);
        loop {
            match tries.attempt(self.attempt(&rows, &mut todo, answers)).await {
                Ok(Some(())) => break,
                Ok(None) => {}
                Err(error) => {
                    let left = todo.iter().map(|index| rows[*index].place);
                    answers.retry_all(left, &error);
                    break;
                }
            }
        }
    }

    /// One attempt at what is left to do.
    async fn attempt(
        &self,
        rows: &Arc<Vec<Row>>,
        todo: &mut Vec<usize>,
        answers: &mut Answers,
    ) -> Result<(), BoxError> {
        let file = self.file().await?;
        let outcome = file.write(rows.clone(), todo.clone()).await;
        let mut answered: HashSet<usize> = outcome.done.into_iter().collect();
        for (place, error) in outcome.refused {
            answered.insert(place);
            answers.reject(place, error.into());
        }
        todo.retain(|index| !answered.contains(&rows[*index].place));
        match outcome.failed {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

/// Tries as long as a sink has patience.
fn persistence(reach: &Reach, patience: Duration) -> Persistence {
    let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    Persistence::new(reach.clone(), patience).backoff(backoff)
}

/// What is to be said of a batch that is not all done.
#[derive(Debug, Default)]
struct Answers(Option<Verdicts>);

impl Answers {
    fn reject(&mut self, place: usize, error: BoxError) {
        let verdicts = self.0.take().unwrap_or_else(Verdicts::done);
        self.0 = Some(verdicts.reject(place, error));
    }

    fn retry_all(&mut self, places: impl Iterator<Item = usize>, error: &OutOfPatience) {
        let reason = described(error);
        let mut verdicts = self.0.take().unwrap_or_else(Verdicts::done);
        for place in places {
            verdicts = verdicts.retry(place, &*reason, LONGEST_PAUSE);
        }
        self.0 = Some(verdicts);
    }

    fn written(self) -> Written {
        self.0.map_or(Written::All, Written::Each)
    }
}

/// An error and its causes in one line, for several messages.
fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// The name of a file, as traces have it.
fn peer(path: &Path) -> Peer {
    let name = path.file_name().unwrap_or(path.as_os_str());
    Peer::new("sqlite").destination(name.to_string_lossy())
}

impl<T: Send + 'static> Sink<T> for SqliteSink<T> {
    async fn open(&mut self) -> Result<(), BoxError> {
        self.file().await?;
        Ok(())
    }

    async fn write(&mut self, batch: Batch<T>) -> Result<Written, BoxError> {
        let mut answers = Answers::default();
        let file = self.file().await.map_err(Failure::retry)?;
        let rows = self.bind(file, &batch, &mut answers);
        if !rows.is_empty() {
            self.persist(rows, &mut answers).await;
        }
        Ok(answers.written())
    }

    fn reads_origins(&self) -> bool {
        self.identities.is_some()
    }

    fn peer(&self) -> Peer {
        peer(&self.options.path)
    }

    fn reach(&self) -> Option<Reach> {
        Some(self.reach.clone())
    }

    fn promise(&self) -> SinkPromise {
        self.promise
    }
}

impl<T> Clone for SqliteSink<T> {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            script: self.script.clone(),
            binder: self.binder.clone(),
            identities: self.identities.clone(),
            promise: self.promise,
            file: self.file.clone(),
            reach: self.reach.clone(),
        }
    }
}

impl<T> fmt::Debug for SqliteSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSink")
            .field("options", &self.options)
            .field("statement", &self.script.statement)
            .field("applied", &self.script.applied)
            .finish_non_exhaustive()
    }
}
