//! The rules of connectors, against a PostgreSQL.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};
use towpath::{BoxError, Headers};
use towpath_postgres::{
    Once, PostgresMessage, PostgresOptions, PostgresSink, PostgresSinkOptions, PostgresSource,
    PostgresSourceOptions, Row, Table, applied_schema, queue_schema,
};
use towpath_test::conformance::{
    BothRig, Order, Parcel, Rig, SinkPromises, SinkRig, SourcePromises, SourceRig,
};
use towpath_test_servers::{Postgres, or_not_run};

const PASSWORD: &str = "correct-horse-battery";
/// Longer than a busy machine stands still, with a third of it gone already.
const LEASE: Duration = Duration::from_secs(5);
/// No row is larger.
const LARGEST_ROW: u64 = 1 << 20;

towpath_test::conformance_source!(queue_rig);
towpath_test::conformance_sink!(queue_rig);
towpath_test::conformance_both!(queue_rig);

/// The sink that writes each message once, by `INSERT`.
mod once {
    use super::once_rig;
    towpath_test::conformance_sink!(once_rig);
}

/// The sink that replaces rows of the same key.
mod upsert {
    use super::upsert_rig;
    towpath_test::conformance_sink!(upsert_rig);
}

/// The sink that runs a statement for each message.
mod statement {
    use super::statement_rig;
    towpath_test::conformance_sink!(statement_rig);
}

fn queue_rig() -> Option<PostgresRig> {
    rig(Kind::Queue)
}

fn once_rig() -> Option<PostgresRig> {
    rig(Kind::Once)
}

fn upsert_rig() -> Option<PostgresRig> {
    rig(Kind::Upsert)
}

fn statement_rig() -> Option<PostgresRig> {
    rig(Kind::Statement)
}

fn rig(kind: Kind) -> Option<PostgresRig> {
    let server = or_not_run(Postgres::with_password(PASSWORD))?;
    Some(PostgresRig {
        kind,
        url: server.url(),
        server: Mutex::new(server),
        places: AtomicU32::new(0),
    })
}

/// How the sink of a rig writes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// With `COPY` into the table of a queue.
    Queue,
    Once,
    Upsert,
    Statement,
}

/// A server of its own; a place is the table of a queue.
struct PostgresRig {
    kind: Kind,
    url: String,
    server: Mutex<Postgres>,
    places: AtomicU32,
}

impl PostgresRig {
    fn guarded(&self) -> MutexGuard<'_, Postgres> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self) -> PostgresOptions {
        PostgresOptions::new(self.url.as_str())
            .connect_timeout(Duration::from_secs(5))
            .statement_timeout(Duration::from_secs(5))
    }

    async fn client(&self) -> Result<(Client, JoinSet<()>), BoxError> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        Ok((client, driver))
    }

    async fn count(&self, query: &str) -> Result<u64, BoxError> {
        let (client, _driver) = self.client().await?;
        let count: i64 = client.query_one(query, &[]).await?.try_get(0)?;
        Ok(u64::try_from(count)?)
    }

    fn options(&self, place: &str) -> PostgresSinkOptions {
        let columns = ["key", "payload", "headers"];
        match self.kind {
            Kind::Queue => PostgresSinkOptions::copy_into(self.server(), place, columns),
            Kind::Once => PostgresSinkOptions::insert(self.server(), place, columns)
                .once(Once::new(place).table(format!("{place}_applied"))),
            Kind::Upsert => {
                let key = ["key", "payload_sum"];
                let columns = ["key", "payload", "headers", "payload_sum"];
                PostgresSinkOptions::upsert(self.server(), place, columns, key)
            }
            Kind::Statement => PostgresSinkOptions::statement(
                self.server(),
                format!("INSERT INTO {place} (key, payload, headers) VALUES ($1, $2, $3)"),
            ),
        }
    }
}

impl Rig for PostgresRig {
    async fn place(&self) -> Result<String, BoxError> {
        let place = format!("place_{}", self.places.fetch_add(1, Relaxed));
        let (client, _driver) = self.client().await?;
        client
            .batch_execute(&queue_schema(&Table::new(place.as_str())))
            .await?;
        let applied = Table::new(format!("{place}_applied"));
        client.batch_execute(&applied_schema(&applied)).await?;
        if self.kind == Kind::Upsert {
            let sum = format!(
                "ALTER TABLE {place} ADD payload_sum text; \
                 CREATE UNIQUE INDEX ON {place} (key, payload_sum)"
            );
            client.batch_execute(&sum).await?;
        }
        Ok(place)
    }

    fn kill(&self) {
        self.guarded().kill();
    }

    fn restart(&self) -> Result<(), BoxError> {
        Ok(self.guarded().restart()?)
    }

    fn freeze(&self) -> bool {
        self.guarded().freeze();
        true
    }

    fn thaw(&self) {
        self.guarded().thaw();
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }
}

impl SourceRig for PostgresRig {
    type Source = PostgresSource;

    fn promises(&self) -> SourcePromises {
        SourcePromises::new()
            .lease(LEASE)
            .comes_again_within(2 * LEASE)
            .order(Order::Total)
    }

    fn source(&self, place: &str, _member: usize) -> PostgresSource {
        let options = PostgresSourceOptions::new(self.server(), place)
            .lease(LEASE)
            .answer_within(LEASE);
        PostgresSource::new(options).expect("the options are right")
    }

    fn parcel(job: &PostgresMessage) -> Parcel {
        Parcel::new(job.key.clone().unwrap_or_default(), job.payload.to_vec())
    }

    async fn put(&self, place: &str, parcels: Vec<Parcel>) -> Result<(), BoxError> {
        let (mut client, _driver) = self.client().await?;
        let insert =
            format!("INSERT INTO {place} (key, payload, headers) VALUES ($1, $2, $3::text::json)");
        let transaction = client.transaction().await?;
        let insert = transaction.prepare(&insert).await?;
        for Parcel {
            key,
            payload,
            headers,
            ..
        } in parcels
        {
            let headers: Headers = headers.into_iter().collect();
            let headers = serde_json::to_string(&headers)?;
            transaction
                .execute(&insert, &[&key, &payload, &headers])
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn outstanding(&self, place: &str) -> Result<u64, BoxError> {
        self.count(&format!("SELECT count(*) FROM {place}")).await
    }

    async fn claimed(&self, place: &str) -> Result<Option<u64>, BoxError> {
        let query = format!("SELECT count(*) FROM {place} WHERE lease_until > now()");
        self.count(&query).await.map(Some)
    }
}

impl SinkRig for PostgresRig {
    type Item = Parcel;
    type Sink = PostgresSink<Parcel>;

    fn promises(&self) -> SinkPromises {
        let too_large = usize::try_from(LARGEST_ROW).expect("a mebibyte can be counted");
        SinkPromises::new().order(Order::Total).too_large(too_large)
    }

    fn item(parcel: Parcel) -> Parcel {
        parcel
    }

    /// A text holds no zero byte.
    fn refused(&self) -> Option<Parcel> {
        Some(Parcel::new("a\0b", "refused"))
    }

    fn sink(&self, place: &str) -> PostgresSink<Parcel> {
        let options = self.options(place).max_row_bytes(LARGEST_ROW);
        let sums = self.kind == Kind::Upsert;
        let write = move |parcel: &Parcel, row: &mut Row<'_>| {
            let headers: Headers = parcel.headers.iter().cloned().collect();
            row.add(&parcel.key)
                .add(&parcel.payload)
                .add_headers(&headers);
            if sums {
                let text = format!("{:?}", &parcel.payload[..parcel.payload.len().min(200)]);
                row.add(text);
            }
        };
        PostgresSink::new(options, write).expect("the options are right")
    }

    async fn stored(&self, place: &str) -> Result<Vec<Parcel>, BoxError> {
        let (client, _driver) = self.client().await?;
        let query = format!("SELECT key, payload, headers::text FROM {place} ORDER BY id");
        let rows = client.query(&query, &[]).await?;
        rows.iter()
            .map(|row| {
                let mut parcel =
                    Parcel::new(row.try_get::<_, String>(0)?, row.try_get::<_, Vec<u8>>(1)?);
                let headers: Option<&str> = row.try_get(2)?;
                let headers = headers.unwrap_or("{}");
                let headers: std::collections::BTreeMap<String, String> =
                    serde_json::from_str(headers)?;
                parcel.headers = headers.into_iter().collect();
                Ok(parcel)
            })
            .collect()
    }
}

impl BothRig for PostgresRig {}
