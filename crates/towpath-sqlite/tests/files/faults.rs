//! What can be wrong with the file of a queue.

use std::{
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
};

use towpath::{BuildError, Ending, Flow, Pipeline, SinkStage, Source};
use towpath_sqlite::{
    Bind, SqliteErrorKind, SqliteQueue, SqliteQueueError, SqliteQueueSink, SqliteSink,
    SqliteSinkError, SqliteSource, SqliteSourceOptions,
};

use crate::support::{folder, queue, quick, run_sql};

fn refused(path: &Path) -> SqliteQueueError {
    SqliteQueue::open(path, quick()).unwrap_err()
}

fn pipeline(path: &Path) -> Pipeline {
    let source = SqliteSource::new(SqliteSourceOptions::new(path).queue(quick().create(false)));
    Flow::from(Source::new("queue", source.unwrap())).acknowledge()
}

#[test]
fn a_file_that_is_something_else_is_refused_and_left_as_it_is() {
    let folder = folder();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a database, but a note. ".repeat(400)).unwrap();
    let error = refused(&path);
    assert!(
        error
            .to_string()
            .ends_with("notes.txt: is no SQLite database"),
        "{error}"
    );

    let path = folder.path().join("other.db");
    run_sql(&path, "CREATE TABLE orders (id INTEGER)");
    let error = refused(&path);
    assert!(
        matches!(error, SqliteQueueError::NotAQueue { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("other.db"), "{error}");
    run_sql(&path, "INSERT INTO orders VALUES (1)");
}

#[test]
fn a_queue_of_a_newer_program_is_refused() {
    let folder = folder();
    let path = folder.path().join("a.queue");
    drop(queue(&path));
    run_sql(&path, "PRAGMA user_version = 2");
    let error = refused(&path).to_string();
    assert!(
        error.contains("version 2") && error.contains("up to 1"),
        "{error}"
    );
}

#[test]
fn an_empty_file_becomes_a_queue_and_a_queue_stays_what_it_is() {
    let folder = folder();
    let path = folder.path().join("a.queue");
    std::fs::write(&path, "").unwrap();
    queue(&path).enqueue_blocking("a").unwrap();
    assert_eq!(queue(&path).depth_blocking().unwrap().messages, 1);
}

#[test]
fn a_missing_folder_is_named() {
    let folder = folder();
    let path = folder.path().join("missing").join("a.queue");
    let error = refused(&path);
    let SqliteQueueError::File(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.kind, SqliteErrorKind::NoFolder);
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn several_processes_may_make_a_queue_at_once() {
    let folder = folder();
    let path = folder.path().join("a.queue");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| queue(&path).enqueue_blocking("a").unwrap());
        }
    });
    assert_eq!(queue(&path).depth_blocking().unwrap().messages, 8);
}

#[tokio::test]
async fn a_queue_that_is_missing_fails_the_start_of_its_pipeline() {
    let folder = folder();
    let path = folder.path().join("missing.queue");
    let error = pipeline(&path).start().await.map(drop).unwrap_err();
    let BuildError::Open { source, .. } = error else {
        panic!("{error}");
    };
    assert!(
        source
            .to_string()
            .contains("missing.queue: the file does not exist"),
        "{source}"
    );

    let sink = SqliteQueueSink::new(&path, quick().create(false), |n: &u32| n.to_string()).unwrap();
    let pipeline = Flow::from(Source::iter("n", [1_u32])).sink(SinkStage::of("sink", sink));
    assert!(matches!(
        pipeline.start().await.map(drop),
        Err(BuildError::Open { .. })
    ));
}

#[tokio::test]
async fn a_table_that_is_missing_fails_the_start_of_its_pipeline() {
    let folder = folder();
    let path = folder.path().join("shop.db");
    run_sql(&path, "CREATE TABLE orders (id INTEGER)");
    let bind = |n: &u32, row: &mut Bind<'_>| {
        row.push(*n);
    };
    let sink = SqliteSink::upsert(&*path, "items", &["id"], &["id"], bind).unwrap();
    let pipeline = Flow::from(Source::iter("n", [1_u32])).sink(SinkStage::of("sink", sink));
    let Err(BuildError::Open { source, .. }) = pipeline.start().await.map(drop) else {
        panic!("it starts");
    };
    let error = source.downcast_ref::<SqliteSinkError>().unwrap();
    let SqliteSinkError::Statement { source, .. } = error else {
        panic!("{error}");
    };
    assert!(error.to_string().contains("shop.db"), "{error}");
    assert!(
        source.to_string().contains("no such table: items"),
        "{source}"
    );
}

#[tokio::test]
async fn a_file_that_is_damaged_ends_its_pipeline_with_an_error_that_says_so() {
    let folder = folder();
    let path = folder.path().join("a.queue");
    let filled = queue(&path);
    filled
        .enqueue_many((0..2000).map(|n| format!("{n:>200}")))
        .await
        .unwrap();
    drop(filled);
    run_sql(&path, "PRAGMA wal_checkpoint(TRUNCATE)");
    // All but the first page and the tables' own.
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.seek(SeekFrom::End(0)).unwrap();
    file.seek(SeekFrom::Start(5 * 4096)).unwrap();
    file.write_all(&vec![0xa5; usize::try_from(length).unwrap() - 5 * 4096])
        .unwrap();
    drop(file);
    let report = pipeline(&path).run().await.unwrap();
    let Ending::Failed { error } = &report.ending else {
        panic!("{report}");
    };
    let error = error.join(": ");
    assert!(error.contains("a.queue: is corrupt"), "{error}");
    assert_eq!(report.exit_code(), 1);
}
