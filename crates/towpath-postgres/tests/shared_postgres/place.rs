//! A schema on a server, and a client that looks into it.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use towpath::{Batch, BatchInfo, Origin, Trigger, Verdicts, Written};
use towpath_postgres::{PostgresOptions, Table};
use towpath_test_servers::{Postgres, or_not_run};

/// For what is certain to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A schema on a server, and a client that looks into it.
pub(crate) struct Place {
    url: String,
    schema: String,
    client: Client,
    _driver: JoinSet<()>,
}

impl Place {
    /// A schema on the server that all tests share.
    pub(crate) async fn new() -> Option<Self> {
        static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
        let server = SERVER.get_or_init(|| or_not_run(Postgres::start()));
        Some(Self::on(server.as_ref()?).await)
    }

    /// A schema on a server.
    pub(crate) async fn on(server: &Postgres) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let url = server.url();
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        let place = Self {
            url,
            schema: format!("s{}", COUNT.fetch_add(1, Relaxed)),
            client,
            _driver: driver,
        };
        place.sql(&format!("CREATE SCHEMA {}", place.schema)).await;
        place
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The server, with connections that are known by the name of the schema.
    pub(crate) fn server(&self) -> PostgresOptions {
        PostgresOptions::new(self.url.as_str()).application_name(&self.schema)
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(crate) fn table(&self, name: &str) -> Table {
        Table::in_schema(&self.schema, name)
    }

    /// Runs statements; `{s}` stands for the schema.
    pub(crate) async fn sql(&self, statements: &str) {
        let statements = statements.replace("{s}", &self.schema);
        self.client.batch_execute(&statements).await.unwrap();
    }

    /// The rows of a query, with `|` between the values; `{s}` stands for the schema.
    pub(crate) async fn rows(&self, query: &str) -> Vec<String> {
        let query = query.replace("{s}", &self.schema);
        let messages = self.client.simple_query(&query).await.unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|column| row.get(column).unwrap_or("null"));
                Some(values.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        rows.collect()
    }

    /// The only value of a query.
    pub(crate) async fn one(&self, query: &str) -> String {
        let rows = self.rows(query).await;
        assert_eq!(rows.len(), 1, "{query}");
        rows.into_iter().next().unwrap()
    }

    /// Waits until a query has this answer.
    pub(crate) async fn wait_for(&self, query: &str, answer: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = self.one(query).await;
            if found == answer {
                return;
            }
            assert!(Instant::now() < until, "{query}: {found}, not {answer}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A batch as a batcher makes it, of messages with these origins.
pub(crate) fn batch_of<T>(messages: impl IntoIterator<Item = (T, Origin)>) -> Batch<T> {
    let (items, origins): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
    let info = BatchInfo::new("store".into(), items.len(), Trigger::Count);
    Batch::new(items, origins, info)
}

/// A batch of messages of which nothing is known.
pub(crate) fn batch<T>(items: impl IntoIterator<Item = T>) -> Batch<T> {
    batch_of(items.into_iter().map(|item| (item, Origin::default())))
}

/// The answer for each message of a batch: what was said of those that failed.
pub(crate) fn answers(written: Written, size: usize) -> Vec<Result<(), String>> {
    let verdicts = match written {
        Written::Each(verdicts) => verdicts,
        _ => Verdicts::done(),
    };
    let results = verdicts.into_results(size);
    let told = results
        .map(|result| result.map_err(|failure| format!("{}: {}", failure.word(), failure.error())));
    told.collect()
}

/// The places of those that failed.
pub(crate) fn failed(answers: &[Result<(), String>]) -> Vec<usize> {
    let places = answers.iter().enumerate();
    places
        .filter_map(|(place, answer)| answer.is_err().then_some(place))
        .collect()
}
