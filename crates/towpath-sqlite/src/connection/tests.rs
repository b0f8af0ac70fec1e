//! Files that cannot be opened, and locks that are waited for.

use rusqlite::{OpenFlags, Transaction, TransactionBehavior};
use tempfile::TempDir;

use super::*;
use crate::error::shared;

fn place(folder: &TempDir, name: &str) -> Place {
    Place {
        path: shared(folder.path().join(name)),
        sync: Sync::Off,
        busy_timeout: Duration::from_millis(50),
        create: true,
    }
}

fn kind(result: Result<Connection, SqliteError>) -> SqliteErrorKind {
    result.map(drop).unwrap_err().kind
}

#[test]
fn a_file_is_opened_with_the_sync_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (number, sync) in [Sync::Off, Sync::Normal, Sync::Full, Sync::Extra]
        .into_iter()
        .enumerate()
    {
        let place = Place {
            sync,
            ..place(&folder, "a.db")
        };
        let connection = place.connect(&Closing::default()).unwrap();
        let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        assert_eq!(read("synchronous").unwrap(), i64::try_from(number).unwrap());
        let mode: String = connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
    }
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let closing = Closing::default();
    let nowhere = place(&folder, "not/there.db");
    assert_eq!(kind(nowhere.connect(&closing)), SqliteErrorKind::NoFolder);
    let nothing = Place {
        create: false,
        ..place(&folder, "nothing.db")
    };
    assert_eq!(kind(nothing.connect(&closing)), SqliteErrorKind::NoFile);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    let directory = place(&folder, ".");
    assert_eq!(
        kind(directory.connect(&closing)),
        SqliteErrorKind::CannotOpen
    );
}

#[test]
fn a_file_that_may_only_be_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder, "a.db");
    let closing = Closing::default();
    drop(place.connect(&closing).unwrap());
    let reading = place.connect_with(OpenFlags::SQLITE_OPEN_READ_ONLY, &closing);
    let error = reading.unwrap_err();
    assert_eq!(error.kind, SqliteErrorKind::ReadOnly);
    assert!(error.to_string().ends_with("a.db: is read-only"), "{error}");
}

#[test]
fn what_is_no_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder, "notes.txt");
    let text = "no database at all. ".repeat(500);
    std::fs::write(&place.path, &text).unwrap();
    assert_eq!(
        kind(place.connect(&Closing::default())),
        SqliteErrorKind::NotADatabase
    );
    assert_eq!(std::fs::read_to_string(&place.path).unwrap(), text);
}

#[test]
fn a_lock_is_waited_for_until_the_time_is_over_or_the_connection_is_to_be_closed() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder, "a.db");
    let (here, closing) = (Closing::default(), Closing::default());
    let holder = place.connect(&here).unwrap();
    let lock = Transaction::new_unchecked(&holder, TransactionBehavior::Immediate).unwrap();
    let connection = place.connect(&closing).unwrap();
    let begin = |connection: &Connection| {
        let begun = Instant::now();
        let error = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
            .map(drop)
            .unwrap_err();
        assert_eq!(place.failed(error).kind, SqliteErrorKind::Busy);
        begun.elapsed()
    };
    let waited = begin(&connection);
    assert!(waited >= Duration::from_millis(50), "{waited:?}");

    let patient = Place {
        busy_timeout: Duration::from_secs(600),
        ..place.clone()
    };
    let patient = patient.connect(&closing).unwrap();
    closing.close();
    assert!(begin(&patient) < Duration::from_secs(60));
    drop(lock);
    assert!(Transaction::new_unchecked(&patient, TransactionBehavior::Immediate).is_ok());
}

#[test]
fn several_may_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut place = place(&folder, "a.db");
    place.busy_timeout = Duration::from_secs(60);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| drop(place.connect(&Closing::default()).unwrap()));
        }
    });
}
