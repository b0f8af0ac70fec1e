//! What is on disk, whatever happens to the process, the disk and the clock.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use proptest::prelude::*;
use towpath_core::{Cause, Event, EventKind, StageName};

use super::{naming, store::Store, *};
use crate::events::{EventLog, Query, Timestamp};

const SOON: Duration = Duration::from_secs(20);

fn log_one(log: &EventLog, kind: EventKind) {
    let at = Duration::from_millis(1500);
    log.record(&"orders".into(), &Event::new(at, "enrich".into(), kind));
}

fn log_restarts(log: &EventLog, n: u64) {
    for restarts in 1..=n {
        log_one(log, EventKind::Restarted { restarts });
    }
    assert!(log.flush(SOON));
}

fn numbers(dir: &Path) -> Vec<u64> {
    read(dir).unwrap().map(|saved| saved.number).collect()
}

fn sizes(dir: &Path) -> Vec<u64> {
    let files = naming::list(dir).unwrap();
    files.iter().map(|f| f.metadata().unwrap().len()).collect()
}

#[test]
fn a_record_is_one_line_of_json_and_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::new()
        .durable(EventFiles::new(dir.path()))
        .unwrap();
    let cause = Cause::new("enrich".into(), "no such\ncustomer");
    log_one(&log, EventKind::Rejected { cause });
    assert!(log.flush(SOON));

    let saved: Vec<_> = read(dir.path()).unwrap().collect();
    assert_eq!(saved.len(), 1);
    assert_eq!((saved[0].number, saved[0].kind.as_str()), (1, "rejected"));
    assert_eq!(
        saved[0].details["cause"],
        serde_json::json!(["no such\ncustomer"])
    );
    assert_eq!(saved[0].since_start, Duration::from_millis(1500));
    let counts = log.files().unwrap();
    assert_eq!((counts.written, counts.failed, counts.lost), (1, 0, 0));
    assert_eq!(
        fs::read_to_string(counts.file.unwrap())
            .unwrap()
            .lines()
            .count(),
        1
    );
}

#[test]
fn the_last_log_that_is_dropped_writes_what_is_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::new()
        .durable(EventFiles::new(dir.path()))
        .unwrap();
    let observer = log.observer(&StageName::from("orders"));
    drop(log);
    observer.event(&Event::new(
        Duration::ZERO,
        "orders".into(),
        EventKind::Stopped,
    ));
    drop(observer);
    assert_eq!(numbers(dir.path()), [1]);
}

#[test]
fn a_log_is_written_to_one_folder_only() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::new()
        .durable(EventFiles::new(dir.path()))
        .unwrap();
    let error = log.durable(EventFiles::new(dir.path())).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    let plain = EventLog::new();
    assert!(plain.files().is_none() && plain.flush(Duration::ZERO));
}

#[test]
fn a_file_that_would_be_too_large_is_followed_by_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let files = EventFiles::new(dir.path()).max_bytes(400).keep(1000);
    let log = EventLog::new().durable(files).unwrap();
    log_restarts(&log, 20);
    let sizes = sizes(dir.path());
    assert!(
        sizes.len() >= 5 && sizes.iter().all(|&size| size <= 400),
        "{sizes:?}"
    );
    assert_eq!(numbers(dir.path()), (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_record_larger_than_a_file_has_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let files = EventFiles::new(dir.path()).max_bytes(1);
    let log = EventLog::new().durable(files).unwrap();
    log_restarts(&log, 3);
    assert_eq!(sizes(dir.path()).len(), 3);
    assert_eq!(numbers(dir.path()), [1, 2, 3]);
}

#[test]
fn the_oldest_files_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let files = EventFiles::new(dir.path()).max_bytes(1).keep(3);
    let log = EventLog::new().durable(files).unwrap();
    log_restarts(&log, 10);
    assert_eq!(numbers(dir.path()), [8, 9, 10]);
}

#[test]
fn what_earlier_processes_left_is_cleaned_up_at_the_start_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let old = |stamp: u64| dir.path().join(format!("events-{stamp:015}-1.jsonl"));
    for stamp in 1..=5 {
        fs::write(old(stamp), "").unwrap();
    }
    let foreign = [
        "events-1-1.jsonl",
        "events.jsonl",
        "notes.txt",
        "events-000000000000001-x.jsonl",
    ];
    for name in foreign {
        fs::write(dir.path().join(name), "mine").unwrap();
    }
    let mut store = Store::new(EventFiles::new(dir.path()).keep(2));
    store.prepare().unwrap();
    assert_eq!(naming::list(dir.path()).unwrap(), [old(4), old(5)]);
    for name in foreign {
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"mine");
    }
}

#[test]
fn an_aged_file_is_followed_by_a_new_one_also_when_the_clock_is_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let files = EventFiles::new(dir.path()).max_age(Duration::from_secs(60));
    let mut store = Store::new(files);
    let (first, in_time, late) = (1_000_000, 1_060_000, 1_060_001);
    for (line, millis) in [first, in_time, late, 5, 60_006].into_iter().enumerate() {
        let at = Timestamp::from_millis(millis);
        store.take(format!("{line}\n").as_bytes(), at).unwrap();
        store.commit(at).unwrap();
    }
    let files = naming::list(dir.path()).unwrap();
    let text: Vec<_> = files
        .iter()
        .map(|f| fs::read_to_string(f).unwrap())
        .collect();
    assert_eq!(text, ["0\n1\n", "2\n3\n4\n"]);
    let mut later = Store::new(EventFiles::new(dir.path()));
    later.prepare().unwrap();
    later.take(b"5\n", Timestamp::from_millis(7)).unwrap();
    later.commit(Timestamp::from_millis(7)).unwrap();
    let files = naming::list(dir.path()).unwrap();
    assert_eq!(fs::read_to_string(files.last().unwrap()).unwrap(), "5\n");
}

#[test]
fn a_torn_line_is_skipped_and_the_next_process_begins_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let files = || EventFiles::new(dir.path());
    let log = EventLog::new().durable(files()).unwrap();
    log_restarts(&log, 2);
    let path = log.files().unwrap().file.unwrap();
    let mut torn = fs::OpenOptions::new().append(true).open(path).unwrap();
    torn.write_all(b"{\"number\": 3, \"at\": \"20").unwrap();
    drop(log);
    let log = EventLog::new().durable(files()).unwrap();
    log_restarts(&log, 1);

    let mut reading = read(dir.path()).unwrap();
    let numbers: Vec<_> = reading.by_ref().map(|saved| saved.number).collect();
    assert_eq!(numbers, [1, 2, 1]);
    assert_eq!((reading.skipped(), reading.errors()), (1, 0));
}

#[test]
fn a_disk_that_fails_costs_records_and_is_shown_until_it_works_again() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("events");
    fs::write(&blocked, "a file where the folder should be").unwrap();
    let log = EventLog::new().durable(EventFiles::new(&blocked)).unwrap();
    log_restarts(&log, 3);
    let counts = log.files().unwrap();
    assert_eq!((counts.written, counts.failed, counts.file), (0, 3, None));
    assert!(counts.error.is_some());
    assert_eq!(log.query(&Query::new()).len(), 3);

    fs::remove_file(&blocked).unwrap();
    log_restarts(&log, 1);
    let counts = log.files().unwrap();
    assert_eq!((counts.written, counts.failed, counts.error), (1, 3, None));
    assert_eq!(numbers(&blocked), [4]);
}

#[test]
fn a_folder_that_is_missing_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    assert!(read(dir.path().join("none")).is_err());
}

#[test]
fn records_that_come_too_fast_are_lost_to_the_files_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::new()
        .durable(EventFiles::new(dir.path()).queue(2))
        .unwrap();
    let (entered, gate) = Gate::closed();
    log_one(&log, gate);
    entered.recv().unwrap();
    for restarts in 1..=5 {
        log_one(&log, EventKind::Restarted { restarts });
    }
    assert_eq!(log.files().unwrap().lost, 3);
    assert!(!log.flush(Duration::ZERO));
    drop(entered);
    assert!(log.flush(SOON));
    assert_eq!(numbers(dir.path()), [1, 2, 3]);
}

#[test]
fn an_error_that_panics_when_it_is_shown_costs_its_own_record_only() {
    #[derive(Debug)]
    struct Rude;
    impl std::fmt::Display for Rude {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("not to be shown")
        }
    }
    impl std::error::Error for Rude {}
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::new()
        .durable(EventFiles::new(dir.path()))
        .unwrap();
    let cause = Cause::new("enrich".into(), Rude);
    log_one(&log, EventKind::Rejected { cause });
    log_restarts(&log, 1);
    let counts = log.files().unwrap();
    assert_eq!((counts.written, counts.failed), (1, 1));
    assert_eq!(numbers(dir.path()), [2]);
}

/// An error that holds up who shows it until it may go on.
#[derive(Debug)]
struct Gate(std::sync::Mutex<std::sync::mpsc::SyncSender<()>>);

impl Gate {
    /// The first message says that it is being shown; it goes on once the receiver is gone.
    fn closed() -> (std::sync::mpsc::Receiver<()>, EventKind) {
        let (sender, entered) = std::sync::mpsc::sync_channel(0);
        let cause = Cause::new("enrich".into(), Self(sender.into()));
        (entered, EventKind::Rejected { cause })
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entered = self.0.lock().unwrap();
        while entered.send(()).is_ok() {}
        f.write_str("held up")
    }
}

impl std::error::Error for Gate {}

/// Set in the process that is killed: the folder it writes to.
const VICTIM: &str = "TOWPATH_EVENTS_VICTIM";

#[test]
fn a_process_that_is_killed_leaves_every_record_that_was_flushed() {
    if let Some(dir) = std::env::var_os(VICTIM) {
        write_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("events::file::tests::a_process_that_is_killed_leaves_every_record_that_was_flushed")
        .env(VICTIM, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(victim.stdout.take().unwrap()).lines();
    let flushed = said
        .by_ref()
        .filter_map(|line| line.unwrap().strip_prefix("flushed ")?.parse().ok());
    let flushed: u64 = flushed.take(50).last().unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();

    let found = numbers(dir.path());
    assert!(
        found.len() as u64 >= flushed,
        "{} of {flushed}",
        found.len()
    );
    assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>());
}

fn write_until_killed(dir: &Path) -> ! {
    let files = EventFiles::new(dir).max_bytes(2000).keep(100_000);
    let log = EventLog::new().durable(files).unwrap();
    loop {
        log_restarts(&log, 7);
        println!("\nflushed {}", log.last());
    }
}

fn kinds() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        Just(EventKind::Started),
        Just(EventKind::Stopped),
        any::<u64>().prop_map(|restarts| EventKind::Restarted { restarts }),
        ".*".prop_map(|error| EventKind::Rejected {
            cause: Cause::new("enrich".into(), error),
        }),
        (".*", 0..u64::from(u32::MAX)).prop_map(|(error, millis)| EventKind::SourceFailed {
            error,
            retry_in: Duration::from_millis(millis),
        }),
        (".*", any::<usize>()).prop_map(|(error, count)| EventKind::SettleFailed { error, count }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_read_is_what_was_logged_in_its_order(
        events in prop::collection::vec((".{1,9}", ".{1,9}", any::<u32>(), kinds()), 0..40),
        max_bytes in 1..3000_u64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let files = EventFiles::new(dir.path()).max_bytes(max_bytes).keep(1000);
        let log = EventLog::new().durable(files).unwrap();
        for (pipeline, stage, millis, kind) in events {
            let at = Duration::from_millis(millis.into());
            log.record(&pipeline.into(), &Event::new(at, stage.into(), kind));
        }
        prop_assert!(log.flush(SOON));
        let logged: Vec<Saved> = log.query(&Query::new()).iter().map(|r| Saved::from(&**r)).collect();
        let mut reading = read(dir.path()).unwrap();
        prop_assert_eq!(reading.by_ref().collect::<Vec<_>>(), logged);
        prop_assert_eq!((reading.skipped(), reading.errors()), (0, 0));
    }
}
