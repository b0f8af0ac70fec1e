//! The numbers of the bundled month, and files that are wrong.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, types::Value};
use tempfile::TempDir;

use super::*;

fn job(directory: &TempDir) -> Job {
    let path = |name: &str| directory.path().join(name);
    Job::bundled(path("flights.sqlite"), path("dead.ndjson"))
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn input(directory: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = directory.path().join("input.csv");
    fs::write(&path, bytes).unwrap();
    path
}

fn rows(database: &Path, table: Table) -> Vec<Vec<Value>> {
    let connection = Connection::open(database).unwrap();
    let sql = format!(
        "SELECT * FROM {} ORDER BY 1, 2, 3, 4, 5, 6, 7",
        table.name()
    );
    let mut statement = connection.prepare(&sql).unwrap();
    let width = statement.column_count();
    let rows = statement
        .query_map([], |row| (0..width).map(|at| row.get(at)).collect())
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn letters(job: &Job) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(&job.dead_letters).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const GOOD: &str =
    "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z";

fn with_header(lines: &[&[u8]]) -> Vec<u8> {
    let header = record::NAMES.join(",").into_bytes();
    let lines = lines.iter().map(|line| line.to_vec());
    [header]
        .into_iter()
        .chain(lines)
        .collect::<Vec<_>>()
        .join(&b'\n')
}

#[test]
fn the_bundled_month_has_the_known_numbers() {
    let directory = directory();
    let job = job(&directory);
    let Finished { summary, failure } = run(&job).unwrap();
    assert!(failure.is_none());
    let origins = [("EWR", 9514), ("JFK", 8523), ("LGA", 7767)];
    let expected = Summary {
        read: 27004,
        dropped: 521,
        rejected: 679,
        delivered: 25804,
        late: 5907,
        by_origin: origins
            .map(|(origin, count)| (Code::new(origin.as_bytes()).unwrap(), count))
            .into(),
        complete: true,
        left: 0,
        elapsed_ms: summary.elapsed_ms,
        in_flight_high_water: summary.in_flight_high_water,
    };
    assert_eq!(summary, expected);
    let stored = Table::ALL.map(|table| rows(&job.database, table).len() as u64);
    assert_eq!(stored, [summary.delivered, summary.late]);
    assert_eq!(letters(&job).len() as u64, summary.rejected);
    let bound = (job.batch_size.get() * origins.len()) as u64;
    assert!((1..=bound).contains(&summary.in_flight_high_water));
}

#[test]
fn running_twice_leaves_the_same_tables_and_letters() {
    let directory = directory();
    let job = job(&directory);
    let state = || {
        run(&job).unwrap();
        (
            Table::ALL.map(|table| rows(&job.database, table)),
            letters(&job),
        )
    };
    assert!(state() == state());
}

#[test]
fn the_size_of_the_batches_changes_nothing_but_the_rows_in_flight() {
    let directory = directory();
    let of = |size: usize| {
        let mut job = job(&directory);
        job.batch_size = size.try_into().unwrap();
        let summary = run(&job).unwrap().summary;
        (summary.delivered, summary.late, summary.by_origin)
    };
    assert_eq!(of(7), of(100_000));
}

#[test]
fn rows_that_cannot_be_read_are_dead_letters_with_their_line() {
    let directory = directory();
    let mut job = job(&directory);
    let bad_text = GOOD.replace("UA", "U?").into_bytes();
    let bad_text: Vec<_> = bad_text
        .iter()
        .map(|byte| if *byte == b'?' { 0xff } else { *byte })
        .collect();
    let lines = [
        GOOD.as_bytes(),
        b"2013,1,1,half a row",
        &bad_text,
        GOOD.as_bytes(),
    ];
    job.input = input(&directory, &with_header(&lines));
    let summary = run(&job).unwrap().summary;
    assert_eq!(
        (summary.read, summary.rejected, summary.delivered),
        (4, 2, 2)
    );
    let letters = letters(&job);
    assert_eq!(letters[0]["line"], 3);
    assert_eq!(letters[0]["cause"], "the row has 4 fields, the header 19");
    assert_eq!(letters[0]["original"][3], "half a row");
    assert_eq!(letters[1]["line"], 4);
    assert_eq!(
        letters[1]["cause"],
        "column carrier cannot be taken: it is not UTF-8: invalid utf-8 sequence of 1 bytes from index 1"
    );
    assert_eq!(letters[1]["original"]["carrier"]["bytes"][1], 255);
}

#[test]
fn of_a_truncated_gzip_everything_up_to_the_cut_is_stored() {
    let directory = directory();
    let mut job = job(&directory);
    let whole = fs::read(&job.input).unwrap();
    job.input = input(&directory, &whole[..whole.len() / 2]);
    let Finished { summary, failure } = run(&job).unwrap();
    let failure = failure.unwrap();
    assert!(
        matches!(failure, FlightsError::Input(InputError::Read { line, .. }) if line > 10_000),
        "{failure:?}"
    );
    assert!(!summary.complete && summary.read > 10_000);
    assert_eq!(
        summary.read,
        summary.dropped + summary.rejected + summary.delivered
    );
    assert_eq!(
        rows(&job.database, Table::Flights).len() as u64,
        summary.delivered
    );
}

#[test]
fn a_file_of_nothing_but_a_header_is_whole() {
    let directory = directory();
    let mut job = job(&directory);
    job.input = input(&directory, &with_header(&[]));
    let finished = run(&job).unwrap();
    assert_eq!(finished.summary.read, 0);
    assert!(finished.summary.complete && finished.failure.is_none());
}

#[test]
fn a_job_that_cannot_start_makes_no_database() {
    let directory = directory();
    let mut job = job(&directory);
    for bytes in [&b""[..], b"year,month\n2013,1\n"] {
        job.input = input(&directory, bytes);
        let error = run(&job).unwrap_err();
        assert!(matches!(error, FlightsError::Input(_)), "{error:?}");
        assert!(!job.database.exists() && !job.dead_letters.exists());
    }
}
