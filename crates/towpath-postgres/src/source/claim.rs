//! Taking messages out of the table: one statement, on a connection of its own.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};
use tokio_postgres::{Error, Row, Statement};
use towpath_connector::attempt_of;
use towpath_core::{Headers, Lag, Origin};

use crate::{
    PostgresError, PostgresSourceOptions, Table,
    link::{Dialer, Link},
    queue::{listen_to, read, seconds},
    source::message::PostgresMessage,
};

/// Waiting messages are counted up to here: to count more would cost too much.
const MOST_COUNTED: u32 = 100_000;

/// Who takes messages out of the table. It goes into each claim and comes back with it.
#[derive(Debug)]
pub(super) struct Taker {
    options: Arc<PostgresSourceOptions>,
    dialer: Dialer,
    lag: Lag,
    counter: Option<Counter>,
    /// When the server was asked last.
    asked_at: Instant,
    /// How many messages to ask for at most: large ones would be locked in vain.
    at_most: usize,
}

/// A connection on which messages are claimed, with its statements.
#[derive(Debug)]
struct Counter {
    link: Link,
    claim: Statement,
    next: Statement,
}

/// What a claim has brought.
pub(super) struct Claimed {
    pub(super) taker: Taker,
    pub(super) result: Result<Claim, PostgresError>,
}

/// What there was in the queue.
pub(super) enum Claim {
    /// Messages, the oldest first.
    Jobs(Vec<Lent>),
    /// Nothing now; maybe something later.
    Nothing {
        /// When the next one is due, if any is there.
        next: Option<Duration>,
    },
}

/// A message that was lent.
pub(super) struct Lent {
    pub(super) job: PostgresMessage,
    pub(super) lease: i64,
    pub(super) origin: Origin,
}

// === impl Taker ===

impl Taker {
    pub(super) fn new(options: Arc<PostgresSourceOptions>, lag: Lag) -> Self {
        Self {
            dialer: Dialer::new(options.server.clone()),
            options,
            lag,
            counter: None,
            asked_at: Instant::now(),
            at_most: usize::MAX,
        }
    }

    /// How long ago the server was asked for messages.
    pub(super) fn age(&self) -> Duration {
        self.asked_at.elapsed()
    }

    /// Wakes whoever waits for messages.
    pub(super) fn heard(&self) -> Arc<Notify> {
        self.dialer.heard()
    }

    /// Takes up to `room` messages; connects first where that is needed.
    pub(super) async fn claim(mut self, room: usize) -> Claimed {
        let result = self.try_claim(room).await;
        Claimed {
            taker: self,
            result,
        }
    }

    async fn try_claim(&mut self, room: usize) -> Result<Claim, PostgresError> {
        let mut counter = self.counter().await?;
        self.asked_at = Instant::now();
        let (claim, found) = counter.ask(&self.options, room.min(self.at_most)).await?;
        self.counter = Some(counter);
        self.at_most = match &claim {
            Claim::Jobs(lent) if lent.len() < found => lent.len().saturating_mul(2),
            _ => self.at_most.saturating_mul(2),
        };
        Ok(claim)
    }

    /// A connection, taken out: it is put back when what it was taken for has ended well.
    async fn counter(&mut self) -> Result<Counter, PostgresError> {
        match self
            .counter
            .take()
            .filter(|counter| !counter.link.is_closed())
        {
            Some(counter) => Ok(counter),
            None => Counter::open(&mut self.dialer, &self.options, &self.lag).await,
        }
    }

    /// Gives messages back as if they had never been taken. Without a connection their leases
    /// run out.
    pub(super) async fn give_back(
        &mut self,
        ids: &[i64],
        leases: &[i64],
    ) -> Result<(), PostgresError> {
        match &mut self.counter {
            Some(counter) => counter.give_back(&self.options, ids, leases).await,
            None => Ok(()),
        }
    }
}

// === impl Counter ===

impl Counter {
    /// Connects and gets ready.
    async fn open(
        dialer: &mut Dialer,
        options: &PostgresSourceOptions,
        lag: &Lag,
    ) -> Result<Self, PostgresError> {
        let table = &options.table;
        let mut link = dialer.connect().await?;
        let client = link.client.clone();
        let (listen, claim, next) = (listen_to(table), claim(table), next(table));
        let prepared = async {
            if options.listen {
                client.batch_execute(&listen).await?;
            }
            lag.set(count(&client, table).await?);
            Ok((client.prepare(&claim).await?, client.prepare(&next).await?))
        };
        let (claim, next) = link
            .call_within(options.answer_within, "table", prepared)
            .await?;
        Ok(Self { link, claim, next })
    }

    /// Claims, and says how many messages it has found for that: some may be too heavy.
    async fn ask(
        &mut self,
        options: &PostgresSourceOptions,
        room: usize,
    ) -> Result<(Claim, usize), PostgresError> {
        let client = self.link.client.clone();
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let lease = seconds(options.lease);
        let bytes = i64::try_from(options.max_claim_bytes).unwrap_or(i64::MAX);
        let (claim, next) = (&self.claim, &self.next);
        let work = async {
            let rows = client.query(claim, &[&room, &lease, &bytes]).await?;
            if let Some(first) = rows.first() {
                let found: i64 = first.try_get(7)?;
                let plain = options.table.plain();
                let lent: Result<Vec<_>, _> = rows.iter().map(|row| lent(&plain, row)).collect();
                let claim = Claim::Jobs(sorted(lent?));
                return Ok((claim, usize::try_from(found).unwrap_or_default()));
            }
            let next: Option<f64> = client.query_one(next, &[]).await?.try_get(0)?;
            let next = next.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
            Ok((Claim::Nothing { next }, 0))
        };
        let within = options.answer_within;
        self.link.call_within(within, "table", work).await
    }

    async fn give_back(
        &mut self,
        options: &PostgresSourceOptions,
        ids: &[i64],
        leases: &[i64],
    ) -> Result<(), PostgresError> {
        let client = self.link.client.clone();
        let statement = give_back(&options.table);
        let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] = &[&ids, &leases];
        let work = client.execute(&statement, params);
        let within = options.answer_within;
        self.link.call_within(within, "table", work).await.map(drop)
    }
}

/// The order of one claim is that of the ids: the server returns them as it finds them.
fn sorted(mut lent: Vec<Lent>) -> Vec<Lent> {
    lent.sort_by_key(|lent| lent.job.id);
    lent
}

fn lent(table: &str, row: &Row) -> Result<Lent, Error> {
    let id: i64 = row.try_get(0)?;
    let payload: &[u8] = row.try_get(3)?;
    let headers: Headers = read(row.try_get(4)?);
    let deliveries: i32 = row.try_get(5)?;
    let enqueued: i64 = row.try_get(6)?;
    let deliveries = u32::try_from(deliveries).unwrap_or(1);
    // With the time, so that it is another one when a table is made again and counts from 1.
    let identity = format!("{table}/{id}@{enqueued}");
    let origin = Origin::default()
        .identified(identity)
        .at(u64::try_from(id).unwrap_or_default())
        .attempt(attempt_of(&headers, deliveries))
        .headers(headers);
    Ok(Lent {
        lease: row.try_get(1)?,
        job: PostgresMessage {
            id,
            key: row.try_get(2)?,
            payload: Bytes::copy_from_slice(payload),
        },
        origin,
    })
}

/// What a message weighs. Sizes are known without reading what is stored apart.
const WEIGHT: &str = "octet_length(payload) + coalesce(octet_length(key), 0)
    + coalesce(pg_column_size(headers), 0)::bigint AS weight";

/// Those whose lease has run out come first: they were there before. The ids are found and
/// locked before anything is changed, and looked up one by one: so the plan stays the same
/// whatever the planner believes of the table. What is found and too heavy is locked for as
/// long as the statement takes.
fn claim(table: &Table) -> String {
    format!(
        "WITH expired AS MATERIALIZED (
            SELECT id, lease_until AS since, {WEIGHT} FROM {table} WHERE lease_until <= now()
            ORDER BY lease_until, id LIMIT $1 FOR UPDATE SKIP LOCKED
        ), waiting AS MATERIALIZED (
            SELECT id, available_at AS since, {WEIGHT} FROM {table}
            WHERE lease_until IS NULL AND done_at IS NULL AND available_at <= now()
            ORDER BY available_at, id
            LIMIT $1 - (SELECT count(*) FROM expired) FOR UPDATE SKIP LOCKED
        ), found AS MATERIALIZED (
            SELECT id, row_number() OVER line AS place, sum(weight) OVER line AS weight
            FROM (SELECT 1 AS turn, * FROM expired UNION ALL SELECT 2, * FROM waiting) AS all_of_them
            WINDOW line AS (ORDER BY turn, since, id)
        )
        UPDATE {table} AS q
        SET lease_until = clock_timestamp() + $2::float8 * interval '1 second',
            lease = q.lease + 1, deliveries = q.deliveries + 1
        WHERE id = ANY (ARRAY(SELECT id FROM found WHERE weight <= $3::bigint OR place = 1))
        RETURNING id, lease, key, payload, headers::text, deliveries,
            (extract(epoch FROM enqueued_at) * 1000000)::bigint, (SELECT count(*) FROM found)"
    )
}

/// How long it is until the next message is due.
fn next(table: &Table) -> String {
    format!(
        "SELECT extract(epoch FROM least(
            (SELECT min(available_at) FROM {table} WHERE lease_until IS NULL AND done_at IS NULL),
            (SELECT min(lease_until) FROM {table} WHERE lease_until IS NOT NULL)
        ) - clock_timestamp())::float8"
    )
}

fn give_back(table: &Table) -> String {
    format!(
        "UPDATE {table} AS q SET lease_until = NULL, deliveries = q.deliveries - 1
        FROM unnest($1::bigint[], $2::bigint[]) AS r (id, lease)
        WHERE q.id = r.id AND q.lease = r.lease AND q.lease_until IS NOT NULL"
    )
}

/// How many messages wait, as far as that is counted.
pub(super) async fn count(client: &tokio_postgres::Client, table: &Table) -> Result<u64, Error> {
    let statement = format!(
        "SELECT count(*) FROM (SELECT 1 FROM {table}
        WHERE lease_until IS NULL AND done_at IS NULL AND available_at <= now()
        LIMIT {MOST_COUNTED}) AS waiting"
    );
    let rows = client.query_typed(&statement, &[]).await?;
    let count: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    Ok(u64::try_from(count).unwrap_or_default())
}
