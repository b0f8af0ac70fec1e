//! Telling the table what became of its messages.

use std::{mem, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tokio_postgres::types::{ToSql, Type};
use towpath_connector::{Backoff, Held, Leases};
use towpath_core::{Acknowledger, BoxError, Headers, Lag, Outcome, Settled};

use crate::{
    PostgresError, PostgresSourceOptions, Table, WhenDone,
    link::{Dialer, Link},
    queue::{seconds, written},
    source::claim::count,
};

/// How often waiting messages are counted at most.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// The pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A message by its id, and the number of the lease under which it was taken.
pub(super) type Key = (i64, i64);

/// Tells the table of a queue what became of its messages.
#[derive(Debug)]
pub struct PostgresAcknowledger {
    options: Arc<PostgresSourceOptions>,
    dialer: Dialer,
    link: Option<Link>,
    leases: Leases<Key>,
    lag: Lag,
    counted_at: Option<Instant>,
    /// Wakes the source: what is given back may be due at once.
    heard: Arc<Notify>,
    /// What was told before a call failed.
    carried: Settled,
    /// Whether the answer to an earlier call was lost, so that it may have had its effect.
    is_in_doubt: bool,
}

/// What a [`PostgresAcknowledger`] needs to settle a message.
#[derive(Debug)]
pub struct PostgresToken {
    held: Held<Key>,
    headers: Headers,
}

// === impl PostgresToken ===

impl PostgresToken {
    pub(super) fn new(held: Held<Key>, headers: Headers) -> Self {
        Self { held, headers }
    }

    pub(super) fn key(&self) -> Key {
        *self.held.key()
    }
}

/// Messages that are given back.
#[derive(Default)]
struct Returned {
    ids: Vec<i64>,
    leases: Vec<i64>,
    delays: Vec<f64>,
    /// Attempts that were made in place, beyond the delivery itself.
    extra: Vec<i32>,
    headers: Vec<Option<String>>,
}

// === impl PostgresAcknowledger ===

impl PostgresAcknowledger {
    pub(super) fn new(
        options: Arc<PostgresSourceOptions>,
        leases: Leases<Key>,
        lag: Lag,
        heard: Arc<Notify>,
    ) -> Self {
        Self {
            dialer: Dialer::new(options.server.clone()),
            options,
            link: None,
            leases,
            lag,
            counted_at: None,
            heard,
            carried: Settled::default(),
            is_in_doubt: false,
        }
    }

    /// A connection, taken out: it is put back when all has gone well. For a server that is
    /// away it waits as long as for an answer: what is not told is done once more.
    async fn link(&mut self) -> Result<Link, PostgresError> {
        if let Some(link) = self.link.take().filter(|link| !link.is_closed()) {
            return Ok(link);
        }
        let until = Instant::now() + self.options.answer_within;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let pause = backoff.next();
            match self.dialer.connect().await {
                Err(_) if Instant::now() + pause < until => sleep(pause).await,
                result => return result,
            }
        }
    }

    /// Runs a statement and says how many rows it has changed.
    async fn change(
        &mut self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<u64, PostgresError> {
        let mut link = self.link().await?;
        let client = link.client.clone();
        let work = client.execute_typed(statement, params);
        let within = self.options.answer_within;
        let changed = link.call_within(within, "table", work).await?;
        self.link = Some(link);
        Ok(changed)
    }

    async fn settle_done(&mut self, keys: &[Key]) -> Result<(), PostgresError> {
        let statement = done(&self.options.table, self.options.when_done);
        let (ids, leases): (Vec<_>, Vec<_>) = keys.iter().copied().unzip();
        let params = [
            (&ids as _, Type::INT8_ARRAY),
            (&leases as _, Type::INT8_ARRAY),
        ];
        let changed = self.change(&statement, &params).await;
        self.took(keys.len(), changed)
    }

    async fn settle_returned(&mut self, returned: &Returned) -> Result<(), PostgresError> {
        let statement = give_back(&self.options.table);
        let params = [
            (&returned.ids as _, Type::INT8_ARRAY),
            (&returned.leases as _, Type::INT8_ARRAY),
            (&returned.delays as _, Type::FLOAT8_ARRAY),
            (&returned.extra as _, Type::INT4_ARRAY),
            (&returned.headers as _, Type::TEXT_ARRAY),
        ];
        let changed = self.change(&statement, &params).await;
        self.took(returned.ids.len(), changed)
    }

    /// Counts how the table took some outcomes. One that changes nothing came too late, unless
    /// it may be the one that was told before and whose answer was lost.
    fn took(
        &mut self,
        count: usize,
        changed: Result<u64, PostgresError>,
    ) -> Result<(), PostgresError> {
        let changed = match changed {
            Ok(changed) => usize::try_from(changed).unwrap_or(count).min(count),
            Err(error) => {
                self.is_in_doubt |= error.sqlstate().is_none();
                return Err(error);
            }
        };
        let missed = count - changed;
        let missed = if self.is_in_doubt {
            Settled::sent(missed)
        } else {
            Settled::stale(missed)
        };
        self.carried = self.carried.and(Settled::confirmed(changed)).and(missed);
        Ok(())
    }
}

impl Acknowledger for PostgresAcknowledger {
    type Token = PostgresToken;

    async fn settle(
        &mut self,
        run: &mut Vec<(PostgresToken, Outcome)>,
    ) -> Result<Settled, BoxError> {
        let kept = run.iter().filter(|(_, outcome)| !is_returned(outcome));
        let done: Vec<_> = kept.map(|(token, _)| token.key()).collect();
        if !done.is_empty() {
            self.settle_done(&done).await?;
            run.retain(|(_, outcome)| is_returned(outcome));
        }
        if !run.is_empty() {
            let returned = Returned::of(run);
            self.settle_returned(&returned).await?;
            self.heard.notify_one();
            run.clear();
        }
        self.is_in_doubt = false;
        Ok(mem::take(&mut self.carried))
    }

    fn extend_every(&self) -> Option<Duration> {
        Some(self.options.lease / 3)
    }

    async fn extend(&mut self) -> Result<(), BoxError> {
        let due = self.leases.due();
        if !due.is_empty() {
            let (ids, leases): (Vec<_>, Vec<_>) = due.into_iter().unzip();
            let lease = seconds(self.options.lease);
            let statement = extend(&self.options.table);
            let params = [
                (&ids as _, Type::INT8_ARRAY),
                (&leases as _, Type::INT8_ARRAY),
                (&lease as _, Type::FLOAT8),
            ];
            self.change(&statement, &params).await?;
        }
        self.sample_lag().await?;
        Ok(())
    }
}

impl PostgresAcknowledger {
    async fn sample_lag(&mut self) -> Result<(), PostgresError> {
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return Ok(());
        }
        let mut link = self.link().await?;
        let client = link.client.clone();
        let work = count(&client, &self.options.table);
        let within = self.options.answer_within;
        let counted = link.call_within(within, "table", work).await;
        match counted {
            Ok(waiting) => self.lag.set(waiting),
            Err(error) => {
                self.lag.forget();
                return Err(error);
            }
        }
        self.counted_at = Some(Instant::now());
        self.link = Some(link);
        Ok(())
    }
}

fn is_returned(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry { .. })
}

// === impl Returned ===

impl Returned {
    fn of(run: &[(PostgresToken, Outcome)]) -> Self {
        let mut returned = Self::default();
        for (token, outcome) in run {
            let Outcome::Retry {
                after,
                attempts,
                trace,
            } = outcome
            else {
                continue;
            };
            let (id, lease) = token.key();
            let traced = trace.as_deref().map(|trace| token.headers.updated(trace));
            returned.ids.push(id);
            returned.leases.push(lease);
            returned.delays.push(seconds(*after));
            returned
                .extra
                .push(i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX));
            returned.headers.push(traced.as_ref().and_then(written));
        }
        returned
    }
}

fn done(table: &Table, when_done: WhenDone) -> String {
    const RUN: &str = "unnest($1::bigint[], $2::bigint[]) AS r (id, lease)
        WHERE q.id = r.id AND q.lease = r.lease";
    match when_done {
        WhenDone::Delete => format!("DELETE FROM {table} AS q USING {RUN}"),
        WhenDone::Keep => format!(
            "UPDATE {table} AS q SET done_at = clock_timestamp(), lease_until = NULL
            FROM {RUN} AND q.done_at IS NULL"
        ),
    }
}

fn give_back(table: &Table) -> String {
    format!(
        "UPDATE {table} AS q SET lease_until = NULL,
            available_at = clock_timestamp() + r.delay * interval '1 second',
            deliveries = least(q.deliveries::bigint + r.extra, 2147483647)::integer,
            headers = coalesce(r.headers::json, q.headers)
        FROM unnest($1::bigint[], $2::bigint[], $3::float8[], $4::integer[], $5::text[])
            AS r (id, lease, delay, extra, headers)
        WHERE q.id = r.id AND q.lease = r.lease AND q.lease_until IS NOT NULL"
    )
}

fn extend(table: &Table) -> String {
    format!(
        "UPDATE {table} AS q
        SET lease_until = clock_timestamp() + $3::float8 * interval '1 second'
        FROM unnest($1::bigint[], $2::bigint[]) AS r (id, lease)
        WHERE q.id = r.id AND q.lease = r.lease AND q.lease_until IS NOT NULL"
    )
}
