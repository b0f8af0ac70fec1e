//! A table as a queue: making it, and putting messages in.

mod entry;
mod schema;

use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::{GenericClient, types::Type};
use towpath_options::{InvalidOptions, Problems};

pub use entry::Entry;
pub(crate) use entry::{read, written};
pub use schema::queue_schema;

use crate::{
    PostgresError, PostgresOptions, Table,
    link::{Dialer, Link},
    table::quoted,
};

/// The most messages, and bytes of them, that go into one statement.
const MOST_ENTRIES: usize = 1_000;
const MOST_BYTES: usize = 16 << 20;
/// The table of a queue that is not named.
const TABLE: &str = "towpath_queue";

/// Which table of which server is the queue.
///
/// ```
/// use towpath_postgres::PostgresQueueOptions;
///
/// let options: PostgresQueueOptions = serde_json::from_str(
///     r#"{ "server": "postgres://localhost/shop", "table": "jobs", "notify": false }"#,
/// )?;
/// # let _ = options;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PostgresQueueOptions {
    /// The server.
    pub server: PostgresOptions,
    /// The table; `towpath_queue` unless set.
    #[serde(default = "queue_table")]
    pub table: Table,
    /// Whether whoever enqueues wakes those who wait. They look at the table once in a while
    /// anyway. On unless set: a notification costs a lock that all transactions of the server
    /// that notify share while they commit.
    #[serde(default = "yes")]
    pub notify: bool,
}

pub(crate) fn queue_table() -> Table {
    Table::new(TABLE)
}

pub(crate) fn yes() -> bool {
    true
}

/// A queue in a table: makes the table, and puts messages in.
///
/// It connects when it is first used, and again when the connection was lost. A clone has a
/// connection of its own. Who takes messages out is a [`PostgresSource`](crate::PostgresSource).
///
/// ```no_run
/// use towpath_postgres::{Entry, PostgresQueue, PostgresQueueOptions};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let options = PostgresQueueOptions::new("postgres://localhost/shop", "jobs");
/// let mut queue = PostgresQueue::new(options)?;
/// queue.create().await?;
/// queue.enqueue(Entry::new("pack order 17").key("order 17")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PostgresQueue {
    options: PostgresQueueOptions,
    dialer: Dialer,
    link: Option<Link>,
}

// === impl PostgresQueueOptions ===

impl PostgresQueueOptions {
    /// A table of a server.
    pub fn new(server: impl Into<PostgresOptions>, table: impl Into<Table>) -> Self {
        Self {
            server: server.into(),
            table: table.into(),
            notify: true,
        }
    }

    /// Whether whoever enqueues wakes those who wait.
    #[must_use]
    pub fn notify(mut self, notify: bool) -> Self {
        self.notify = notify;
        self
    }

    /// Checks the options.
    ///
    /// # Errors
    /// Fails with everything that is wrong.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let mut problems = Problems::new();
        self.server.check(&mut problems, "server");
        self.table.check(&mut problems, "table");
        problems.into_result()
    }
}

// === impl PostgresQueue ===

impl PostgresQueue {
    /// A queue with options.
    ///
    /// # Errors
    /// Fails with everything that is wrong with them.
    pub fn new(options: PostgresQueueOptions) -> Result<Self, InvalidOptions> {
        options.validate()?;
        Ok(Self {
            dialer: Dialer::new(options.server.clone()),
            options,
            link: None,
        })
    }

    /// What the queue was made with.
    pub fn options(&self) -> &PostgresQueueOptions {
        &self.options
    }

    /// Makes the table and its indexes where they are not there, as [`queue_schema`] says.
    ///
    /// # Errors
    /// Fails when the server cannot be reached or refuses.
    ///
    /// # Cancel safety
    /// Cancel safe: all of it is made, or nothing.
    pub async fn create(&mut self) -> Result<(), PostgresError> {
        let script = in_turn(&queue_schema(&self.options.table));
        let mut link = self.link().await?;
        let client = link.client.clone();
        link.call("table", client.batch_execute(&script)).await?;
        self.link = Some(link);
        Ok(())
    }

    /// Puts a message in; its id is higher than that of any message that was there.
    ///
    /// # Errors
    /// Fails when the server cannot be reached, and when it refuses: a key may hold no zero
    /// byte. A connection that is lost while the answer is awaited leaves open whether the
    /// message is in the queue; the error says so.
    ///
    /// # Cancel safety
    /// Dropped before it has ended, it leaves open whether the message is in the queue.
    pub async fn enqueue(&mut self, entry: impl Into<Entry> + Send) -> Result<i64, PostgresError> {
        let ids = self.enqueue_many([entry.into()]).await?;
        ids.first().copied().ok_or_else(|| {
            PostgresError::later("the server has not said the id of the message".to_owned())
        })
    }

    /// Puts messages in, all or none, and returns their ids in the order of the messages.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    ///
    /// # Cancel safety
    /// Dropped before it has ended, it leaves open whether the messages are in the queue.
    pub async fn enqueue_many<E: Into<Entry>>(
        &mut self,
        entries: impl IntoIterator<Item = E> + Send,
    ) -> Result<Vec<i64>, PostgresError> {
        let entries: Vec<Entry> = entries.into_iter().map(Into::into).collect();
        let mut link = self.link().await?;
        let client = link.client.clone();
        let (table, channel) = (&self.options.table, self.channel());
        let work = async {
            client.batch_execute("BEGIN").await?;
            let ids = insert(&*client, table, channel.as_deref(), &entries).await;
            let end = if ids.is_ok() { "COMMIT" } else { "ROLLBACK" };
            client.batch_execute(end).await?;
            ids
        };
        let statements = u32::try_from(chunks(&entries).count()).unwrap_or(u32::MAX);
        let within = self.dialer.server().answers_within();
        let within = within.saturating_mul(statements.saturating_add(2));
        let ids = link.call_within(within, "table", work).await;
        let ids = ids.map_err(open_to_doubt)?;
        self.link = Some(link);
        Ok(ids)
    }

    /// Puts messages in as a part of a transaction of your own: they are in the queue when
    /// that is committed, together with all else it has changed (a transactional outbox).
    ///
    /// `client` is a [`tokio_postgres::Transaction`], or a client. Of the options, the table
    /// and `notify` count. The trace that is current goes along.
    ///
    /// # Errors
    /// Fails as any statement may; the transaction can only be rolled back then.
    ///
    /// # Cancel safety
    /// As any statement of the transaction.
    pub async fn enqueue_in<C: GenericClient + Sync, E: Into<Entry>>(
        &self,
        client: &C,
        entries: impl IntoIterator<Item = E> + Send,
    ) -> Result<Vec<i64>, tokio_postgres::Error> {
        let entries: Vec<Entry> = entries.into_iter().map(Into::into).collect();
        let channel = self.channel();
        insert(client, &self.options.table, channel.as_deref(), &entries).await
    }

    fn channel(&self) -> Option<String> {
        let options = &self.options;
        options.notify.then(|| channel_of(&options.table))
    }

    /// A connection, taken out: it is put back when what it was taken for has ended well.
    async fn link(&mut self) -> Result<Link, PostgresError> {
        match self.link.take().filter(|link| !link.is_closed()) {
            Some(link) => Ok(link),
            None => self.dialer.connect().await,
        }
    }
}

impl Clone for PostgresQueue {
    fn clone(&self) -> Self {
        Self {
            options: self.options.clone(),
            dialer: Dialer::new(self.options.server.clone()),
            link: None,
        }
    }
}

/// The channel on which the receivers of a queue are woken.
pub(crate) fn channel_of(table: &Table) -> String {
    Table::in_schema("", format!("towpath:{}", table.plain())).belonging("")
}

/// Statements that make tables, as one transaction and one after the other: two that make the
/// same table at once would get in each other's way.
pub(crate) fn in_turn(script: &str) -> String {
    format!("BEGIN; SELECT pg_advisory_xact_lock(8317987319222330741); {script} COMMIT;")
}

fn open_to_doubt(error: PostgresError) -> PostgresError {
    match error.sqlstate() {
        Some(_) => error,
        None => error.and("; the messages may be in the queue or not"),
    }
}

async fn insert<C: GenericClient + Sync>(
    client: &C,
    table: &Table,
    channel: Option<&str>,
    entries: &[Entry],
) -> Result<Vec<i64>, tokio_postgres::Error> {
    let mut ids = Vec::with_capacity(entries.len());
    for entries in chunks(entries) {
        ids.append(&mut insert_chunk(client, table, entries).await?);
    }
    if let Some(channel) = channel.filter(|_| !ids.is_empty()) {
        let notify = "SELECT pg_notify($1, '')";
        client
            .query_typed(notify, &[(&channel, Type::TEXT)])
            .await?;
    }
    Ok(ids)
}

async fn insert_chunk<C: GenericClient + Sync>(
    client: &C,
    table: &Table,
    entries: &[Entry],
) -> Result<Vec<i64>, tokio_postgres::Error> {
    let statement = format!(
        "INSERT INTO {table} (key, payload, headers, available_at)
         SELECT key, payload, headers::json, now() + delay * interval '1 second'
         FROM unnest($1::text[], $2::bytea[], $3::text[], $4::float8[])
             WITH ORDINALITY AS e (key, payload, headers, delay, place)
         ORDER BY place RETURNING id"
    );
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_deref()).collect();
    let payloads: Vec<&[u8]> = entries.iter().map(|entry| &*entry.payload).collect();
    let headers: Vec<_> = entries.iter().map(Entry::written_headers).collect();
    let delays: Vec<_> = entries.iter().map(|entry| seconds(entry.delay)).collect();
    let rows = client
        .query_typed(
            &statement,
            &[
                (&keys, Type::TEXT_ARRAY),
                (&payloads, Type::BYTEA_ARRAY),
                (&headers, Type::TEXT_ARRAY),
                (&delays, Type::FLOAT8_ARRAY),
            ],
        )
        .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Seconds as the server counts them; ten years at most, which is as good as never.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.min(towpath_options::LONGEST).as_secs_f64()
}

/// Runs of entries that one statement takes: at least one each.
fn chunks(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += entry.payload.len();
            bytes <= MOST_BYTES
        };
        let count = rest.iter().take(MOST_ENTRIES).take_while(fits).count();
        let (chunk, left) = rest.split_at(count.max(1).min(rest.len()));
        rest = left;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// The statement that waits for the channel of a queue.
pub(crate) fn listen_to(table: &Table) -> String {
    format!("LISTEN {}", quoted(&channel_of(table)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(payloads: &[usize]) -> Vec<usize> {
        let entries: Vec<_> = payloads
            .iter()
            .map(|size| Entry::new(vec![0; *size]))
            .collect();
        chunks(&entries).map(<[Entry]>::len).collect()
    }

    #[test]
    fn entries_are_cut_into_statements_by_count_and_by_weight() {
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[0; 2_001]), [1_000, 1_000, 1]);
        let half = MOST_BYTES / 2;
        assert_eq!(sizes(&[half, half, 1, MOST_BYTES + 1, 1]), [2, 1, 1, 1]);
    }

    #[test]
    fn a_channel_is_a_name_of_its_own_for_each_table() {
        assert_eq!(channel_of(&Table::new("a.jobs")), "towpath:a.jobs");
        let long = Table::in_schema("s".repeat(60), "t".repeat(60));
        assert_eq!(channel_of(&long).len(), 63);
    }

    #[test]
    fn options_are_read_and_all_their_problems_are_reported() {
        let text = r#"{"server": "nonsense", "table": ""}"#;
        let options: PostgresQueueOptions = serde_json::from_str(text).unwrap();
        let error = PostgresQueue::new(options).unwrap_err();
        let paths: Vec<_> = error.problems().iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["server.url", "table"]);
        let unknown = r#"{"server": "postgres://h", "tabel": "x"}"#;
        assert!(serde_json::from_str::<PostgresQueueOptions>(unknown).is_err());
    }
}
