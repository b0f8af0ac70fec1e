//! The queue in a file: messages a second, for each promise about the disk.

use std::hint::black_box;
use std::path::Path;

use bytes::Bytes;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use towpath::sqlite::{Entry, SqliteQueue, SqliteQueueOptions, Sync};
use towpath::{Flow, Source};

use super::contest::{Contender, Contest};
use super::stopwatch::Stopwatch;
use super::timed::Timed;
use super::{Failed, PAYLOAD, Plan, run};
use crate::measure::clock::{Spent, time};
use crate::runtime::on_worker;

/// What the names of the contests begin with.
pub const NAMES: [&str; 3] = ["sqlite-enqueue", "sqlite-one", "sqlite-work"];

/// Messages of one transaction where they are put in together.
const TOGETHER: u32 = 100;
/// Messages of one claim, which is what our source is asked for.
const CLAIM: u32 = 64;
/// For how long a message is lent, in milliseconds.
const LEASE: i64 = 30_000;

/// A queue as one would write it: one table, and an index to find the next message by.
const TABLE: &str = "
    CREATE TABLE job (
        id INTEGER PRIMARY KEY,
        available_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        payload BLOB NOT NULL
    );
    CREATE INDEX job_available ON job (available_at, id)";
const INSERT: &str = "INSERT INTO job (available_at, attempts, payload) VALUES (?1, 0, ?2)";
const LEND: &str = "UPDATE job SET available_at = ?2, attempts = attempts + 1 WHERE id IN
    (SELECT id FROM job WHERE available_at <= ?1 ORDER BY available_at, id LIMIT ?3)
    RETURNING id, payload";
const DELETE: &str = "DELETE FROM job WHERE id = ?1";

/// A promise about the disk, and its name.
#[derive(Debug, Clone, Copy)]
struct Promise {
    sync: Sync,
    word: &'static str,
}

const PROMISES: [Promise; 3] = [
    Promise {
        sync: Sync::Off,
        word: "off",
    },
    Promise {
        sync: Sync::Normal,
        word: "normal",
    },
    Promise {
        sync: Sync::Full,
        word: "full",
    },
];

/// All contests, for each promise.
pub fn contests(plan: &Plan) -> Vec<Contest<'static>> {
    let jobs = [enqueue, one_by_one, work];
    let all = PROMISES
        .into_iter()
        .flat_map(|promise| jobs.map(|job| job(promise, plan)));
    all.filter(|contest| contest.name.starts_with(&plan.only))
        .collect()
}

fn enqueue(promise: Promise, plan: &Plan) -> Contest<'static> {
    let messages = plan.messages(200_000);
    let job = format!("{TOGETHER} in one transaction");
    let ours = move |runtime: &Runtime| put(runtime, promise, messages, TOGETHER);
    let by_hand = move |_: &Runtime| put_by_hand(promise, messages, TOGETHER);
    contest(
        NAMES[0],
        promise,
        &job,
        messages,
        [Box::new(ours), Box::new(by_hand)],
    )
}

fn one_by_one(promise: Promise, plan: &Plan) -> Contest<'static> {
    let usual = if promise.sync == Sync::Full {
        4000
    } else {
        40_000
    };
    let messages = plan.messages(usual);
    let job = "one in each transaction, one after the other";
    let ours = move |runtime: &Runtime| put(runtime, promise, messages, 1);
    let by_hand = move |_: &Runtime| put_by_hand(promise, messages, 1);
    contest(
        NAMES[1],
        promise,
        job,
        messages,
        [Box::new(ours), Box::new(by_hand)],
    )
}

fn work(promise: Promise, plan: &Plan) -> Contest<'static> {
    let messages = plan.messages(100_000);
    let job = format!("claimed and removed, batches of {CLAIM}");
    let ours = move |runtime: &Runtime| taken(runtime, promise, messages);
    let by_hand = move |_: &Runtime| taken_by_hand(promise, messages);
    contest(
        NAMES[2],
        promise,
        &job,
        messages,
        [Box::new(ours), Box::new(by_hand)],
    )
}

type Job = Box<dyn FnMut(&Runtime) -> Result<Spent, Failed>>;

fn contest(
    name: &str,
    promise: Promise,
    job: &str,
    messages: u32,
    [ours, by_hand]: [Job; 2],
) -> Contest<'static> {
    let Promise { word, .. } = promise;
    Contest {
        name: format!("{name}-{word}"),
        title: format!("{job}, synchronous = {word}"),
        messages,
        contenders: vec![
            Contender::towpath(ours),
            Contender::peer("by-hand", by_hand),
        ],
    }
}

// === ours ===

fn put(runtime: &Runtime, promise: Promise, messages: u32, at_once: u32) -> Result<Spent, Failed> {
    let folder = TempDir::new()?;
    let queue = open(&folder, promise)?;
    let filled = queue.clone();
    let (put, spent) = time(|| on_worker(runtime, fill(filled, messages, at_once)));
    put?;
    let depth = queue.depth_blocking()?.messages;
    checked(spent, depth, messages)
}

async fn fill(queue: SqliteQueue, messages: u32, at_once: u32) -> Result<(), Failed> {
    for _ in 0..messages / at_once {
        let entries = (0..at_once).map(|_| Entry::new(Bytes::from_static(&PAYLOAD)));
        queue.enqueue_many(entries).await?;
    }
    Ok(())
}

fn taken(runtime: &Runtime, promise: Promise, messages: u32) -> Result<Spent, Failed> {
    let folder = TempDir::new()?;
    let queue = open(&folder, promise)?;
    on_worker(runtime, fill(queue.clone(), messages, 1000))?;
    let watch = Stopwatch::of(messages);
    let source = Timed::new(queue.source(), messages, &watch);
    let pipeline = Flow::from(Source::new("sqlite", source)).acknowledge();
    run(runtime, pipeline, messages)?;
    checked(watch.spent()?, queue.depth_blocking()?.messages, 0)
}

fn open(folder: &TempDir, promise: Promise) -> Result<SqliteQueue, Failed> {
    let options = SqliteQueueOptions::default().sync(promise.sync);
    Ok(SqliteQueue::open(
        folder.path().join("ours.queue"),
        options,
    )?)
}

fn checked(spent: Spent, there: u64, expected: u32) -> Result<Spent, Failed> {
    if there == u64::from(expected) {
        Ok(spent)
    } else {
        Err(format!("{there} messages in the queue, not {expected}").into())
    }
}

// === by hand ===

fn put_by_hand(promise: Promise, messages: u32, at_once: u32) -> Result<Spent, Failed> {
    let folder = TempDir::new()?;
    let connection = connect(folder.path(), promise)?;
    let (put, spent) = time(|| fill_by_hand(&connection, messages, at_once));
    put?;
    checked(spent, count(&connection)?, messages)
}

fn fill_by_hand(connection: &Connection, messages: u32, at_once: u32) -> rusqlite::Result<()> {
    for number in 0..messages / at_once {
        let transaction = begin(connection)?;
        let mut insert = transaction.prepare_cached(INSERT)?;
        for _ in 0..at_once {
            insert.execute(params![number, PAYLOAD])?;
        }
        drop(insert);
        transaction.commit()?;
    }
    Ok(())
}

fn taken_by_hand(promise: Promise, messages: u32) -> Result<Spent, Failed> {
    let folder = TempDir::new()?;
    let connection = connect(folder.path(), promise)?;
    fill_by_hand(&connection, messages, 1000)?;
    let (taken, spent) = time(|| take_all(&connection, messages));
    taken?;
    checked(spent, count(&connection)?, 0)
}

fn take_all(connection: &Connection, messages: u32) -> rusqlite::Result<()> {
    let now = i64::from(messages);
    loop {
        let claimed = claim(connection, now)?;
        if claimed.is_empty() {
            return Ok(());
        }
        let transaction = begin(connection)?;
        let mut delete = transaction.prepare_cached(DELETE)?;
        for (id, payload) in &claimed {
            black_box(payload);
            delete.execute([id])?;
        }
        drop(delete);
        transaction.commit()?;
    }
}

fn claim(connection: &Connection, now: i64) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
    let transaction = begin(connection)?;
    let mut lend = transaction.prepare_cached(LEND)?;
    let claimed = lend.query_map((now, now + LEASE, CLAIM), |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let claimed = claimed.collect::<Result<Vec<_>, _>>()?;
    drop(lend);
    transaction.commit()?;
    Ok(claimed)
}

fn begin(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
}

fn connect(folder: &Path, promise: Promise) -> rusqlite::Result<Connection> {
    let connection = Connection::open(folder.join("hand.queue"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", promise.word)?;
    connection.execute_batch(TABLE)?;
    Ok(connection)
}

fn count(connection: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = connection.query_row("SELECT count(*) FROM job", (), |row| row.get(0))?;
    Ok(count.try_into().unwrap_or_default())
}
