//! What the tables hold afterwards, and what is said about databases that cannot be written.

use std::error::Error;
use std::fs;

use tempfile::TempDir;

use super::*;
use crate::flights::record::{self, Columns};
use crate::flights::reference::{Airline, Airport, Plane};

fn flight(number: u32, dep_delay: i32) -> Flight {
    let row = format!(
        "2013,1,2,517,515,{dep_delay},830,819,11,UA,{number},N1,EWR,IAH,227,1400,5,15,today"
    );
    let columns = Columns::from_headers(&csv::ByteRecord::from(&record::NAMES[..])).unwrap();
    let fields: Vec<_> = row.split(',').collect();
    Flight {
        departure: record::parse(&csv::ByteRecord::from(fields), &columns).unwrap(),
        airline: Some(Arc::new(Airline {
            name: "United".into(),
            ..Airline::default()
        })),
        plane: Some(Arc::new(Plane {
            year: Some(1998),
            manufacturer: "BOEING".into(),
            model: "737".into(),
            seats: 149,
            ..Plane::default()
        })),
        destination: Arc::new(Airport {
            name: "Intercontinental".into(),
            lat: 29.98,
            lon: -95.34,
            tzone: Some("America/Chicago".into()),
            ..Airport::default()
        }),
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn text(store: &Store, column: &str) -> String {
    let sql = format!("SELECT CAST({column} AS TEXT) FROM flights");
    store
        .connection
        .query_row(&sql, [], |row| row.get(0))
        .unwrap()
}

#[test]
fn every_value_lands_in_its_own_column() {
    let directory = directory();
    let mut store = Store::open(&directory.path().join("db")).unwrap();
    store.write(Table::Flights, &[flight(7, 2)]).unwrap();
    for (column, value) in [
        ("year", "2013"),
        ("month", "1"),
        ("day", "2"),
        ("carrier", "UA"),
        ("flight", "7"),
        ("origin", "EWR"),
        ("sched_dep_time", "515"),
        ("dep_time", "517"),
        ("dep_delay", "2"),
        ("arr_time", "830"),
        ("sched_arr_time", "819"),
        ("arr_delay", "11"),
        ("airline", "United"),
        ("tailnum", "N1"),
        ("plane_manufacturer", "BOEING"),
        ("plane_model", "737"),
        ("plane_year", "1998"),
        ("plane_seats", "149"),
        ("dest", "IAH"),
        ("dest_name", "Intercontinental"),
        ("dest_lat", "29.98"),
        ("dest_lon", "-95.34"),
        ("dest_tzone", "America/Chicago"),
        ("air_time", "227"),
        ("distance", "1400"),
        ("hour", "5"),
        ("minute", "15"),
        ("time_hour", "today"),
    ] {
        assert_eq!(text(&store, column), value, "{column}");
    }
}

#[test]
fn a_batch_written_twice_is_there_once_as_it_was_written_last() {
    let directory = directory();
    let mut store = Store::open(&directory.path().join("db")).unwrap();
    assert_eq!(store.write(Table::Flights, &[flight(7, 2)]).unwrap(), 1);
    assert_eq!(store.write(Table::Flights, &[flight(7, 3)]).unwrap(), 1);
    assert_eq!(store.count(Table::Flights), Ok(1));
    assert_eq!(text(&store, "dep_delay"), "3");
}

#[test]
fn the_tables_do_not_share_rows() {
    let directory = directory();
    let mut store = Store::open(&directory.path().join("db")).unwrap();
    let rows = [flight(1, 2), flight(2, 2), flight(3, 2)];
    store.write(Table::Flights, &rows).unwrap();
    store.write(Table::Late, &rows[..1]).unwrap();
    assert_eq!(Table::ALL.map(|table| store.count(table).unwrap()), [3, 1]);
}

#[test]
fn rows_are_there_when_the_database_is_opened_again() {
    let directory = directory();
    let path = directory.path().join("db");
    Store::open(&path)
        .unwrap()
        .write(Table::Late, &[flight(1, 2)])
        .unwrap();
    assert_eq!(Store::open(&path).unwrap().count(Table::Late), Ok(1));
}

#[test]
fn of_a_batch_that_fails_nothing_is_written() {
    let directory = directory();
    let mut store = Store::open(&directory.path().join("db")).unwrap();
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON flights WHEN new.flight = 2
                   BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    store.connection.execute_batch(trigger).unwrap();
    let error = store
        .write(Table::Flights, &[flight(1, 2), flight(2, 2)])
        .unwrap_err();
    assert!(matches!(error, StoreError::Write { .. }), "{error}");
    assert_eq!(error.source().unwrap().to_string(), "not this one");
    assert_eq!(store.count(Table::Flights), Ok(0));
    // And the connection is fit for the next one.
    assert_eq!(store.write(Table::Flights, &[flight(1, 2)]).unwrap(), 1);
}

#[test]
fn writers_of_both_tables_take_turns() {
    let directory = directory();
    let path = directory.path().join("db");
    let shared = SharedStore::new(Store::open(&path).unwrap());
    std::thread::scope(|scope| {
        for table in Table::ALL {
            let shared = shared.clone();
            scope.spawn(move || {
                for number in 0..200 {
                    shared.write(table, &[flight(number, 2).into()]).unwrap();
                }
            });
        }
    });
    let stored = shared.close();
    let origin = flight(0, 2).origin();
    assert_eq!((stored.by_origin[&origin], stored.late), (200, 200));
    let store = Store::open(&path).unwrap();
    assert_eq!(
        Table::ALL.map(|table| store.count(table).unwrap()),
        [200, 200]
    );
}

#[test]
fn a_batch_that_comes_after_the_end_is_refused() {
    let directory = directory();
    let path = directory.path().join("db");
    let shared = SharedStore::new(Store::open(&path).unwrap());
    assert_eq!(shared.close(), Stored::default());
    let error = shared
        .write(Table::Late, &[flight(1, 2).into()])
        .unwrap_err();
    assert!(matches!(error, StoreError::Closed), "{error}");
}

#[test]
fn a_directory_is_called_one() {
    let directory = directory();
    let error = Store::open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::Directory { .. }), "{error}");
}

#[test]
fn a_file_that_is_something_else_is_left_as_it_is() {
    let directory = directory();
    let path = directory.path().join("notes.txt");
    let notes = "a long text that is certainly no database. ".repeat(50);
    fs::write(&path, &notes).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), notes);
}

#[test]
fn a_read_only_database_is_refused_at_once() {
    let directory = directory();
    let path = directory.path().join("db");
    drop(Store::open(&path).unwrap());
    // By address and not by permission, which does not bind every user.
    let address = format!("file:{}?mode=ro", path.display());
    let error = Store::open(Path::new(&address)).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
}

#[test]
fn a_folder_that_is_not_there_is_not_made() {
    let directory = directory();
    let error = Store::open(&directory.path().join("no/such/db")).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
}

#[test]
fn a_table_with_other_columns_is_refused_at_once() {
    let directory = directory();
    let path = directory.path().join("db");
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE late_flights (who TEXT)")
        .unwrap();
    drop(other);
    let error = Store::open(&path).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Schema {
                table: Table::Late,
                ..
            }
        ),
        "{error:?}"
    );
}
