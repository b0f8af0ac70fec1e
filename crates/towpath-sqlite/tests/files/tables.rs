//! Tables as sinks.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use towpath::{
    Batch, BatchInfo, Flow, Guarantee, Headers, Origin, Sink, SinkStage, Source, Trigger, Written,
    core::SinkPromise,
};
use towpath_sqlite::{Bind, Entry, SqliteSink, SqliteSinkOptions, Sync, Value};

use crate::support::{column, drained, folder, queue, run_sql, until_done};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (name <> 'bad'), stock INTEGER
)";
const INSERT: &str = "INSERT INTO items (id, name) VALUES (:id, $name)";

type Item = (u32, &'static str);

fn options(folder: &TempDir) -> (PathBuf, SqliteSinkOptions) {
    let path = folder.path().join("shop.db");
    let options = SqliteSinkOptions::new(&path).sync(Sync::Off);
    (path, options.busy_timeout(Duration::from_millis(50)))
}

fn bind((id, name): &Item, bind: &mut Bind<'_>) {
    bind.set(":id", *id).set("name", *name);
}

fn inserting(options: SqliteSinkOptions) -> SqliteSink<Item> {
    SqliteSink::statement(options, INSERT, bind)
        .unwrap()
        .setup(TABLE)
}

fn batch<T>(items: Vec<T>, origins: Vec<Origin>) -> Batch<T> {
    let info = BatchInfo::new("test".into(), items.len(), Trigger::Count);
    Batch::new(items, origins, info)
}

/// What became of each message, in words.
async fn write<T: Send + 'static>(
    sink: &mut impl Sink<T>,
    items: Vec<T>,
    origins: Vec<Origin>,
) -> Vec<String> {
    let size = items.len();
    match sink.write(batch(items, origins)).await.unwrap() {
        Written::Each(verdicts) => {
            let said = |result: Result<(), towpath::Failure>| match result {
                Ok(()) => "done".to_owned(),
                Err(failure) => {
                    let mut text = format!("{}: {}", failure.word(), failure.error());
                    let mut next = failure.error().source();
                    while let Some(cause) = next {
                        text = format!("{text}: {cause}");
                        next = cause.source();
                    }
                    text
                }
            };
            verdicts.into_results(size).map(said).collect()
        }
        _ => vec!["done".to_owned(); size],
    }
}

fn names(path: &Path) -> Vec<String> {
    column(path, "SELECT name FROM items ORDER BY id")
}

#[tokio::test]
async fn a_row_that_is_refused_fails_alone_and_says_why() {
    let folder = folder();
    let (path, options) = options(&folder);
    let mut sink = inserting(options);
    let items = vec![(1, "a"), (2, "bad"), (1, "again"), (3, "c")];
    let said = write(&mut sink, items, Vec::new()).await;
    assert_eq!((&said[0][..], &said[3][..]), ("done", "done"));
    assert!(
        said[1].starts_with("rejected") && said[1].contains("CHECK"),
        "{said:?}"
    );
    assert!(
        said[2].starts_with("rejected") && said[2].contains("UNIQUE"),
        "{said:?}"
    );
    assert!(said[1].contains("shop.db"), "{said:?}");
    assert_eq!(names(&path), ["a", "c"]);
}

#[tokio::test]
async fn a_row_that_spoils_the_commit_is_found_and_the_others_are_written() {
    let folder = folder();
    let (path, options) = options(&folder);
    let setup = "PRAGMA foreign_keys = ON";
    let tables = "CREATE TABLE owners (id INTEGER PRIMARY KEY); INSERT INTO owners VALUES (1);
        CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT,
            owner INTEGER REFERENCES owners (id) DEFERRABLE INITIALLY DEFERRED)";
    run_sql(&path, tables);
    let insert = "INSERT INTO items (name, owner) VALUES (?, ?)";
    let sink = SqliteSink::statement(options, insert, |(name, owner): &(&str, u32), row| {
        row.push(*name).push(*owner);
    });
    let mut sink = sink.unwrap();
    // A pragma does nothing in a transaction: another statement turns it on.
    sink = sink.setup("SELECT 1");
    run_sql(&path, setup);
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON items WHEN new.owner = 7
        BEGIN SELECT RAISE(ROLLBACK, 'no such owner'); END";
    run_sql(&path, trigger);
    let said = write(&mut sink, vec![("a", 1), ("b", 7), ("c", 1)], Vec::new()).await;
    assert_eq!((&said[0][..], &said[2][..]), ("done", "done"), "{said:?}");
    assert!(
        said[1].starts_with("rejected") && said[1].contains("no such owner"),
        "{said:?}"
    );
    assert_eq!(names(&path), ["a", "c"]);
}

#[tokio::test]
async fn rows_that_do_not_fit_their_statement_are_rejected_and_the_others_written() {
    let folder = folder();
    let (path, options) = options(&folder);
    let bind = |n: &u64, row: &mut Bind<'_>| -> Result<(), String> {
        match n {
            1 => row.set("id", 1_u8).set("name", "a"),
            2 => row.set("id", 2_u8),
            3 => row.set("nmae", "c"),
            4 => row.push(4_u8).push("d").push("e"),
            5 => row.set("id", u64::MAX).set("name", "e"),
            6 => return Err("no name".to_owned()),
            _ => row.push(*n).push("z"),
        };
        Ok(())
    };
    let mut sink = SqliteSink::statement(options, INSERT, bind)
        .unwrap()
        .setup(TABLE);
    let said = write(&mut sink, (1..=7).collect(), Vec::new()).await;
    let expected = [
        "done",
        "rejected: the parameter $name has no value",
        "rejected: the statement has no parameter nmae",
        "rejected: the statement has 2 parameters, and there is a value for one more",
        "rejected: the number 18446744073709551615 is too large for SQLite",
        "rejected: no name",
        "done",
    ];
    assert_eq!(said, expected);
    assert_eq!(names(&path), ["a", "z"]);
}

#[tokio::test]
async fn an_upsert_leaves_one_row_per_key_whatever_the_names_are() {
    let folder = folder();
    let (path, options) = options(&folder);
    let table = r#"CREATE TABLE "my ""items""" ("the id" INTEGER PRIMARY KEY, "select" BLOB)"#;
    let (columns, keys) = (["the id", "select"], ["the id"]);
    let bind = |(id, blob): &(i64, Option<Vec<u8>>), row: &mut Bind<'_>| {
        row.push(*id).push(blob.clone());
    };
    let sink = SqliteSink::upsert(options, r#"my "items""#, &columns, &keys, bind).unwrap();
    let mut sink = sink.setup(table);
    assert_eq!(sink.promise(), SinkPromise::Idempotent);
    let items = vec![(1, Some(vec![1])), (2, None), (1, Some(vec![2]))];
    assert_eq!(write(&mut sink, items, Vec::new()).await, ["done"; 3]);
    let rows: Vec<Option<Vec<u8>>> =
        column(&path, r#"SELECT "select" FROM "my ""items""" ORDER BY 1"#);
    assert_eq!(rows, [None, Some(vec![2])]);
}

#[tokio::test]
async fn an_upsert_of_nothing_but_keys_keeps_the_first_row() {
    let folder = folder();
    let (path, options) = options(&folder);
    let bind = |id: &i64, row: &mut Bind<'_>| {
        row.push(*id);
    };
    let sink = SqliteSink::upsert(options, "seen", &["id"], &["id"], bind).unwrap();
    let mut sink = sink.setup("CREATE TABLE seen (id INTEGER PRIMARY KEY)");
    assert_eq!(
        write(&mut sink, vec![3, 3, 4], Vec::new()).await,
        ["done"; 3]
    );
    assert_eq!(column::<i64>(&path, "SELECT id FROM seen"), [3, 4]);
}

#[test]
fn all_problems_of_an_upsert_are_told() {
    let bind = |_: &i64, _: &mut Bind<'_>| {};
    let sink = SqliteSink::upsert("", "", &["a", "a"], &["b"], bind);
    let error = sink.unwrap_err();
    let paths: Vec<_> = error
        .problems()
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(
        paths,
        ["path", "table", "columns", "key_columns"],
        "{error}"
    );
}

fn from(identity: &str, attempt: u32) -> Origin {
    Origin::default()
        .identified(identity.to_owned())
        .attempt(attempt)
}

#[tokio::test]
async fn a_statement_is_run_once_for_each_message_however_often_it_comes() {
    let folder = folder();
    let (path, options) = options(&folder);
    run_sql(&path, TABLE);
    run_sql(&path, "INSERT INTO items VALUES (1, 'a', 0)");
    let add = "UPDATE items SET stock = stock + ?1 WHERE id = 1";
    let bind = |n: &u32, row: &mut Bind<'_>| {
        row.push(*n);
    };
    let mut sink = SqliteSink::statement(options, add, bind)
        .unwrap()
        .once("applied");
    assert_eq!(sink.promise(), SinkPromise::Idempotent);
    let origins = vec![from("a", 1), from("b", 1)];
    assert_eq!(write(&mut sink, vec![1, 10], origins).await, ["done"; 2]);
    let origins = vec![from("a", 2), from("c", 1), from("c", 2)];
    assert_eq!(
        write(&mut sink.clone(), vec![1, 100, 100], origins).await,
        ["done"; 3]
    );
    assert_eq!(column::<i64>(&path, "SELECT stock FROM items"), [111]);
}

#[tokio::test]
async fn a_row_that_was_refused_is_not_taken_for_applied() {
    let folder = folder();
    let (path, options) = options(&folder);
    let mut sink = inserting(options).once("applied");
    let said = write(&mut sink, vec![(1, "bad")], vec![from("a", 1)]).await;
    assert!(said[0].starts_with("rejected"), "{said:?}");
    assert_eq!(
        write(&mut sink, vec![(1, "good")], vec![from("a", 2)]).await,
        ["done"]
    );
    assert_eq!(names(&path), ["good"]);
}

#[tokio::test]
async fn messages_that_cannot_be_told_apart_are_rejected_and_not_lost() {
    let folder = folder();
    let (path, options) = options(&folder);
    let mut sink = inserting(options.clone()).once("applied");
    let said = write(&mut sink, vec![(1, "a")], Vec::new()).await;
    assert!(said[0].contains("once_by"), "{said:?}");
    let said = write(
        &mut sink,
        vec![(1, "a"), (2, "b")],
        vec![from("x", 1), from("x", 1)],
    )
    .await;
    assert_eq!(said[0], "done");
    assert!(
        said[1].starts_with("rejected") && said[1].contains("once_by"),
        "{said:?}"
    );
    let mut named = inserting(options).once_by("applied", |item: &Item| item.0.to_string());
    let twice = vec![(2, "b"), (3, "c"), (3, "c")];
    assert_eq!(write(&mut named, twice, Vec::new()).await, ["done"; 3]);
    assert_eq!(names(&path), ["a", "b", "c"]);
}

#[tokio::test]
async fn what_was_applied_is_forgotten_with_time() {
    let folder = folder();
    let (path, options) = options(&folder);
    let options = options.remember_for(Duration::from_millis(1));
    let mut sink = inserting(options).once("applied");
    assert_eq!(
        write(&mut sink, vec![(1, "a")], vec![from("a", 1)]).await,
        ["done"]
    );
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(
        write(&mut sink, vec![(2, "b")], vec![from("b", 1)]).await,
        ["done"]
    );
    assert_eq!(
        column::<String>(&path, "SELECT identity FROM applied"),
        ["b"]
    );
}

#[tokio::test]
async fn a_file_that_is_locked_is_waited_for() {
    let folder = folder();
    let (path, options) = options(&folder);
    let mut sink = inserting(options);
    sink.open().await.unwrap();
    let reach = sink.reach().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let unlocking = async {
        let said = || {
            reach
                .error()
                .is_some_and(|error| error.contains("busy_timeout"))
        };
        crate::support::until("it is said", said).await;
        other.execute_batch("COMMIT").unwrap();
    };
    let (said, ()) = tokio::join!(write(&mut sink, vec![(1, "a")], Vec::new()), unlocking);
    assert_eq!(said, ["done"]);
    assert_eq!(reach.error(), None);
    assert_eq!(names(&path), ["a"]);
}

#[tokio::test]
async fn when_patience_is_over_the_batch_goes_back() {
    let folder = folder();
    let (path, options) = options(&folder);
    let mut sink = inserting(options.patience(Duration::from_millis(200)));
    sink.open().await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let said = write(&mut sink, vec![(1, "a"), (2, "b")], Vec::new()).await;
    assert!(
        said.iter().all(|said| said.starts_with("retried")),
        "{said:?}"
    );
    assert!(said[0].contains("locked"), "{said:?}");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(
        write(&mut sink, vec![(1, "a"), (2, "b")], Vec::new()).await,
        ["done"; 2]
    );
}

#[tokio::test]
async fn a_full_disk_is_waited_for_with_the_batch_kept() {
    let folder = folder();
    let (path, options) = options(&folder);
    let insert = "INSERT INTO blobs (blob) VALUES (?)";
    let bind = |blob: &Vec<u8>, row: &mut Bind<'_>| {
        row.push(&blob[..]);
    };
    let small = "CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY, blob BLOB);
                 PRAGMA max_page_count = 40";
    let sink = SqliteSink::statement(options, insert, bind)
        .unwrap()
        .setup(small);
    let reach = sink.reach().unwrap();
    let blobs = (0..3).map(|_| vec![7_u8; 30_000]);
    let report = Flow::from(Source::iter("blobs", blobs)).sink(SinkStage::of("sink", sink.clone()));
    let report = report.run().await.unwrap();
    assert_eq!(report.counts.done, 3);
    let more = (0..2).map(|_| vec![8_u8; 60_000]);
    let waiting = Flow::from(Source::iter("more", more)).sink(SinkStage::of("sink", sink));
    let waiting = waiting.start().await.unwrap();
    crate::support::until("it is said", || {
        reach
            .error()
            .is_some_and(|error| error.contains("the disk is full"))
    })
    .await;
    assert_eq!(waiting.handle().status().counts.done, 0);
    run_sql(&path, "DELETE FROM blobs");
    until_done(waiting.handle(), 2).await;
    drained(waiting).await;
    assert_eq!(column::<i64>(&path, "SELECT count(*) FROM blobs"), [2]);
}

#[tokio::test]
async fn a_table_that_goes_away_is_waited_for_and_no_fault_of_the_messages() {
    let folder = folder();
    let (path, options) = options(&folder);
    let mut sink = inserting(options.patience(Duration::from_millis(300)));
    assert_eq!(write(&mut sink, vec![(1, "a")], Vec::new()).await, ["done"]);
    run_sql(&path, "DROP TABLE items");
    let said = write(&mut sink, vec![(2, "b")], Vec::new()).await;
    assert!(
        said[0].starts_with("retried") && said[0].contains("no such table"),
        "{said:?}"
    );
    run_sql(&path, TABLE);
    assert_eq!(write(&mut sink, vec![(2, "b")], Vec::new()).await, ["done"]);
}

#[tokio::test]
async fn several_workers_share_a_file_and_a_queue_before_it_makes_it_effectively_once() {
    let folder = folder();
    let (path, options) = options(&folder);
    let queue = queue(folder.path().join("a.queue"));
    let headers: Headers = [("tenant", "a")].into_iter().collect();
    let entries = (0..300_u32).map(|n| Entry::new(n.to_string()).headers(headers.clone()));
    queue.enqueue_many(entries).await.unwrap();
    let insert = "INSERT INTO items (name) VALUES (?)";
    let bind = |name: &String, row: &mut Bind<'_>| {
        row.push(Value::from(name));
    };
    let sink = SqliteSink::statement(options, insert, bind).unwrap();
    let sink = SinkStage::of("sink", sink.setup(TABLE).once("applied")).workers(4);
    let pipeline = Flow::from(Source::new("queue", queue.source()))
        .decode(crate::support::text)
        .sink(sink);
    assert_eq!(pipeline.delivery_guarantee().0, Guarantee::EffectivelyOnce);
    let running = pipeline.start().await.unwrap();
    until_done(running.handle(), 300).await;
    drained(running).await;
    assert_eq!(
        column::<i64>(&path, "SELECT count(DISTINCT name) FROM items"),
        [300]
    );
    assert_eq!(column::<i64>(&path, "SELECT count(*) FROM items"), [300]);
}
