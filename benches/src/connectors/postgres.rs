//! Rows into PostgreSQL, a thousand in one transaction.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{join, try_join};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Statement};
use towpath::postgres::{PostgresSink, PostgresSinkOptions, Row};
use towpath::{Batcher, Flow, SinkStage, Source};
use towpath_test_servers::Postgres;

use super::contest::{Contender, Contest};
use super::rows::{Line, Lines};
use super::stopwatch::Stopwatch;
use super::timed::Timed;
use super::{Failed, Plan, run, unique};
use crate::measure::clock::Spent;
use crate::runtime::on_worker;

/// The names of the contests.
pub const NAMES: [&str; 3] = ["postgres-copy", "postgres-upsert", "postgres-once"];

/// Rows of one transaction.
const BATCH: u32 = 1000;
/// The columns of the table, and their types.
pub(super) const COLUMNS: [&str; 3] = ["id", "customer", "total"];
const TYPES: [Type; 3] = [Type::INT8, Type::TEXT, Type::FLOAT8];

const COPY: &str = "COPY lines (id, customer, total) FROM STDIN (FORMAT binary)";
const UPSERT: &str = " ON CONFLICT (id) DO UPDATE SET customer = EXCLUDED.customer, \
                      total = EXCLUDED.total";
const NOTE: &str = "INSERT INTO seen (scope, identity) SELECT $1, i FROM unnest($2::text[]) AS i \
                    ON CONFLICT DO NOTHING RETURNING identity";

/// A table, and the rows of a run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    server: &'a Postgres,
    messages: u32,
}

/// A connection of a loop by hand, and what it has prepared.
struct Hand {
    client: Client,
    statement: Statement,
    second: Option<Statement>,
    connection: JoinSet<Result<(), tokio_postgres::Error>>,
}

/// The loops by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `COPY`, which is a transaction of its own: its answer comes before it is committed.
    Copy,
    /// `COPY` in a transaction whose end is waited for, with all of it sent at once.
    Committed,
    /// One statement with all values of all rows.
    Values,
    /// One statement with one array for each column.
    Unnest,
    /// `COPY` of the messages that were not seen before, in a transaction with their identities.
    Once,
    /// `COPY` in a transaction with the position of the source.
    Position,
}

impl<'a> Place<'a> {
    /// A server to write to.
    pub fn new(server: &'a Postgres, plan: &Plan) -> Self {
        let messages = plan.messages(300_000);
        Self { server, messages }
    }

    /// All contests on this server.
    pub fn contests(self, plan: &Plan) -> Vec<Contest<'a>> {
        let wants = |contest: &Contest<'_>| contest.name.starts_with(&plan.only);
        let all = [self.copy(), self.upsert(), self.once()];
        all.into_iter().filter(wants).collect()
    }

    fn copy(self) -> Contest<'a> {
        let options = || PostgresSinkOptions::copy_into(self.server.url(), "lines", COLUMNS);
        let contenders = vec![
            Contender::towpath(move |runtime| {
                self.prepare(false);
                self.towpath(runtime, options(), Lines::new(self.messages, self.messages))
            }),
            self.by_hand("by-hand", Way::Copy).goal(0.95),
            self.by_hand("by-hand-committed", Way::Committed),
        ];
        self.contest(NAMES[0], "COPY into a table without index", contenders)
    }

    fn upsert(self) -> Contest<'a> {
        let options = || PostgresSinkOptions::upsert(self.server.url(), "lines", COLUMNS, ["id"]);
        let contenders = vec![
            Contender::towpath(move |runtime| {
                self.prepare(true);
                self.towpath(
                    runtime,
                    options(),
                    Lines::new(self.messages, self.keys(true)),
                )
            }),
            self.by_hand("by-hand", Way::Values),
            self.by_hand("by-hand-unnest", Way::Unnest),
        ];
        let title = "upsert, the second half of the rows is there";
        self.contest(NAMES[1], title, contenders)
    }

    fn once(self) -> Contest<'a> {
        let options =
            || PostgresSinkOptions::copy_into(self.server.url(), "lines", COLUMNS).once("bench");
        let contenders = vec![
            Contender::towpath(move |runtime| {
                self.prepare(false);
                let lines = Lines::new(self.messages, self.messages).identified();
                self.towpath(runtime, options(), lines)
            }),
            self.by_hand("by-hand", Way::Once),
            self.by_hand("by-hand-position", Way::Position),
        ];
        let title = "COPY, each message once, by its identity";
        self.contest(NAMES[2], title, contenders)
    }

    fn contest(self, name: &str, title: &str, contenders: Vec<Contender<'a>>) -> Contest<'a> {
        Contest {
            name: name.to_owned(),
            title: format!("{title}, batches of {BATCH}"),
            messages: self.messages,
            contenders,
        }
    }

    fn by_hand(self, name: &'static str, way: Way) -> Contender<'a> {
        Contender::peer(name, move |runtime| {
            self.prepare(way.is_upsert());
            let (url, messages) = (self.server.url(), self.messages);
            let watch = Stopwatch::of(messages);
            let keys = self.keys(way.is_upsert());
            let seen = Arc::clone(&watch);
            on_worker(runtime, async move {
                let hand = Hand::connect(&url, way).await?;
                hand.write_all(way, messages, keys, &seen).await
            })?;
            self.check(way.is_upsert())?;
            Ok(watch.spent()?)
        })
    }

    /// Empty tables, and nothing left to do for the server.
    fn prepare(self, has_key: bool) {
        let key = if has_key { "PRIMARY KEY" } else { "NOT NULL" };
        let statements = format!(
            "DROP TABLE IF EXISTS lines, seen, towpath_applied, position;
             CREATE TABLE lines (id int8 {key}, customer text NOT NULL, total float8 NOT NULL);
             CREATE TABLE seen (scope text, identity text, PRIMARY KEY (scope, identity));
             CREATE TABLE position (source text PRIMARY KEY, next int8 NOT NULL);
             INSERT INTO position VALUES ('lines', 0)"
        );
        self.server.psql(&statements);
        self.server.psql("CHECKPOINT");
    }

    fn keys(self, is_upsert: bool) -> u32 {
        if is_upsert {
            self.messages / 2
        } else {
            self.messages
        }
    }

    fn check(self, is_upsert: bool) -> Result<(), Failed> {
        let (there, keys) = (
            self.server.psql("SELECT count(*) FROM lines"),
            self.keys(is_upsert),
        );
        if there == keys.to_string() {
            Ok(())
        } else {
            Err(format!("{there} rows, not {keys}").into())
        }
    }

    fn towpath(
        self,
        runtime: &Runtime,
        options: PostgresSinkOptions,
        lines: Lines,
    ) -> Result<Spent, Failed> {
        let is_upsert = options.once.is_none() && lines.keys() < self.messages;
        let watch = Stopwatch::of(self.messages);
        let mut sink = PostgresSink::new(options, write)?;
        let sink = runtime.block_on(async {
            sink.create_applied().await?;
            Ok::<_, Failed>(sink)
        })?;
        let source = Source::new(unique("lines"), Timed::new(lines, self.messages, &watch));
        let pipeline = Flow::from(source)
            .batch(Batcher::new("batch").max_messages(BATCH as usize))
            .sink(SinkStage::of("postgres", sink));
        run(runtime, pipeline, self.messages)?;
        self.check(is_upsert)?;
        Ok(watch.spent()?)
    }
}

/// The row of a message.
pub(super) fn write(line: &Line, row: &mut Row<'_>) {
    row.add(line.id).add(&line.customer).add(line.total);
}

impl Way {
    fn is_upsert(self) -> bool {
        matches!(self, Self::Values | Self::Unnest)
    }

    fn statement(self) -> String {
        match self {
            Self::Copy | Self::Committed | Self::Once | Self::Position => COPY.to_owned(),
            Self::Values => values(BATCH),
            Self::Unnest => format!(
                "INSERT INTO lines (id, customer, total)
                 SELECT * FROM unnest($1::int8[], $2::text[], $3::float8[]){UPSERT}"
            ),
        }
    }

    fn second(self) -> Option<&'static str> {
        match self {
            Self::Once => Some(NOTE),
            Self::Position => Some("UPDATE position SET next = $1 WHERE source = 'lines'"),
            _ => None,
        }
    }
}

fn values(rows: u32) -> String {
    let row = |row: u32| {
        let first = row * 3;
        format!("(${}, ${}, ${})", first + 1, first + 2, first + 3)
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    let rows = rows.join(", ");
    format!("INSERT INTO lines (id, customer, total) VALUES {rows}{UPSERT}")
}

// === impl Hand ===

impl Hand {
    async fn connect(url: &str, way: Way) -> Result<Self, Failed> {
        let (client, connecting) = tokio_postgres::connect(url, NoTls).await?;
        let mut connection = JoinSet::new();
        connection.spawn(connecting);
        let statement = client.prepare(&way.statement()).await?;
        let second = match way.second() {
            Some(second) => Some(client.prepare(second).await?),
            None => None,
        };
        Ok(Self {
            client,
            statement,
            second,
            connection,
        })
    }

    /// The same rows as ours, in batches as large.
    async fn write_all(
        mut self,
        way: Way,
        messages: u32,
        keys: u32,
        watch: &Stopwatch,
    ) -> Result<(), Failed> {
        let mut begin = 0;
        while begin < messages {
            watch.came();
            let numbers = begin..begin + BATCH;
            let lines: Vec<_> = numbers.map(|number| Line::numbered(number, keys)).collect();
            self.write(way, begin, &lines).await?;
            watch.settled(lines.len() as u64);
            begin += BATCH;
        }
        self.connection.abort_all();
        Ok(())
    }

    async fn write(&self, way: Way, begin: u32, lines: &[Line]) -> Result<(), Failed> {
        match way {
            Way::Copy => self.copy(lines.iter()).await,
            Way::Committed => self.committed(lines).await,
            Way::Values => self.values(lines).await,
            Way::Unnest => self.unnest(lines).await,
            Way::Once => self.once(begin, lines).await,
            Way::Position => self.position(begin, lines).await,
        }
    }

    async fn copy(&self, lines: impl Iterator<Item = &Line>) -> Result<(), Failed> {
        let sink = self.client.copy_in(&self.statement).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &TYPES));
        for line in lines {
            writer
                .as_mut()
                .write(&[&line.id, &line.customer, &line.total])
                .await?;
        }
        writer.finish().await?;
        Ok(())
    }

    async fn committed(&self, lines: &[Line]) -> Result<(), Failed> {
        let opened = self.client.batch_execute("BEGIN");
        let ((), sink) = try_join(opened, self.client.copy_in(&self.statement)).await?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &TYPES));
        for line in lines {
            let row: [&(dyn ToSql + Sync); 3] = [&line.id, &line.customer, &line.total];
            writer.as_mut().write(&row).await?;
        }
        let closed = self.client.batch_execute("COMMIT");
        try_join(writer.finish(), closed).await?;
        Ok(())
    }

    async fn values(&self, lines: &[Line]) -> Result<(), Failed> {
        let mut last = std::collections::BTreeMap::new();
        last.extend(lines.iter().map(|line| (line.id, line)));
        if last.len() != lines.len() {
            return Err("a key is twice in one statement".into());
        }
        let values = lines.iter().flat_map(|line| -> [&(dyn ToSql + Sync); 3] {
            [&line.id, &line.customer, &line.total]
        });
        let values: Vec<_> = values.collect();
        self.client.execute(&self.statement, &values).await?;
        Ok(())
    }

    async fn unnest(&self, lines: &[Line]) -> Result<(), Failed> {
        let ids: Vec<_> = lines.iter().map(|line| line.id).collect();
        let customers: Vec<_> = lines.iter().map(|line| line.customer.as_str()).collect();
        let totals: Vec<_> = lines.iter().map(|line| line.total).collect();
        let params: [&(dyn ToSql + Sync); 3] = [&ids, &customers, &totals];
        self.client.execute(&self.statement, &params).await?;
        Ok(())
    }

    async fn once(&self, begin: u32, lines: &[Line]) -> Result<(), Failed> {
        let Some(note) = &self.second else {
            return Ok(());
        };
        let identities = (begin..).map(Line::identity).take(lines.len());
        let identities: Vec<_> = identities.collect();
        let params: [&(dyn ToSql + Sync); 2] = [&"bench", &identities];
        let (opened, new) = join(
            self.client.batch_execute("BEGIN"),
            self.client.query(note, &params),
        )
        .await;
        opened?;
        let new = new?
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<Vec<String>, _>>()?;
        let new: std::collections::HashSet<_> = new.into_iter().collect();
        let lines = lines.iter().zip(&identities);
        let fresh = lines.filter(|(_, identity)| new.contains(*identity));
        self.copy(fresh.map(|(line, _)| line)).await?;
        Ok(self.client.batch_execute("COMMIT").await?)
    }

    async fn position(&self, begin: u32, lines: &[Line]) -> Result<(), Failed> {
        let Some(position) = &self.second else {
            return Ok(());
        };
        let next = i64::from(begin) + i64::from(BATCH);
        self.client.batch_execute("BEGIN").await?;
        self.copy(lines.iter()).await?;
        let params: [&(dyn ToSql + Sync); 1] = [&next];
        try_join(
            self.client.execute(position, &params),
            self.client.batch_execute("COMMIT"),
        )
        .await?;
        Ok(())
    }
}
