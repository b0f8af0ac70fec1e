//! The bundled tables, and tables that are wrong.

use std::error::Error;
use std::io::Write;

use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn planes(text: &str) -> Result<HashMap<Code, Arc<Plane>>, TableError> {
    read(file(text).path())
}

fn code(text: &str) -> Code {
    Code::new(text.as_bytes()).unwrap()
}

const HEADER: &str = "tailnum,year,manufacturer,model,seats\n";

#[test]
fn the_bundled_tables_can_be_read() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let [airlines, planes, airports] =
        ["airlines.csv", "planes.csv", "airports.csv"].map(|name| data.join(name));
    let tables = Tables::load(&airlines, &planes, &airports).unwrap();
    assert_eq!(
        tables.airlines[&code("UA")].name,
        "United Air Lines Inc.".to_owned()
    );
    assert_eq!(
        tables.airports[&code("IAH")].tzone.as_deref(),
        Some("America/Chicago")
    );
    assert_eq!(tables.planes[&code("N14228")].manufacturer, "BOEING");
}

#[test]
fn a_plane_of_unknown_age_has_no_year() {
    let planes = planes(&format!("{HEADER}N1,NA,CESSNA,172,4\n")).unwrap();
    assert_eq!(planes[&code("N1")].year, None);
}

#[test]
fn a_wrong_value_is_named_by_file_line_and_column() {
    let error = planes(&format!(
        "{HEADER}N1,1998,CESSNA,172,4\nN2,1998,CESSNA,172,four\n"
    ))
    .unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("line 3, column seats: `four` cannot be used"),
        "{text}"
    );
}

#[test]
fn only_na_and_nothing_may_stand_for_an_unknown_year() {
    let error = planes(&format!("{HEADER}N1,old,CESSNA,172,4\n")).unwrap_err();
    assert!(
        matches!(
            error,
            TableError::Value {
                line: 2,
                column: "year",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_row_of_another_length_is_named_by_its_line() {
    let error = planes(&format!("{HEADER}N1,1998\n")).unwrap_err();
    assert!(
        matches!(
            error,
            TableError::Fields {
                line: 2,
                expected: 5,
                found: 2,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn missing_columns_are_named() {
    let error = planes("tailnum,year,engine\nN1,1998,Jet\n").unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert_eq!(cause, "it has no column manufacturer, model, seats");
}

#[test]
fn a_table_that_is_not_there_is_named() {
    let error = read::<Airport>(Path::new("no/airports.csv")).unwrap_err();
    assert_eq!(error.to_string(), "cannot open `no/airports.csv`");
}
