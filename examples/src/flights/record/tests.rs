//! What is taken from a row, and what is said about a row that is wrong.

use super::*;

const GOOD: [&str; 19] = [
    "2013",
    "1",
    "1",
    "517",
    "515",
    "2",
    "830",
    "819",
    "11",
    "UA",
    "1545",
    "N14228",
    "EWR",
    "IAH",
    "227",
    "1400",
    "5",
    "15",
    "2013-01-01T10:00:00Z",
];

fn columns() -> Columns {
    Columns::from_headers(&ByteRecord::from(&NAMES[..])).unwrap()
}

fn parsed(fields: &[&[u8]]) -> Result<Departure, RowError> {
    parse(&ByteRecord::from(fields), &columns())
}

fn with(column: &str, value: &[u8]) -> Result<Departure, RowError> {
    let at = NAMES.iter().position(|name| *name == column).unwrap();
    let mut fields = GOOD.map(str::as_bytes);
    fields[at] = value;
    parsed(&fields)
}

fn code(text: &str) -> Code {
    Code::new(text.as_bytes()).unwrap()
}

#[test]
fn every_column_arrives_at_its_place() {
    let expected = Departure {
        year: 2013,
        month: 1,
        day: 1,
        dep_time: Some(517),
        sched_dep_time: 515,
        dep_delay: Some(2),
        arr_time: Some(830),
        sched_arr_time: 819,
        arr_delay: Some(11),
        carrier: code("UA"),
        flight: 1545,
        tailnum: Some(code("N14228")),
        origin: code("EWR"),
        dest: code("IAH"),
        air_time: Some(227),
        distance: 1400,
        hour: 5,
        minute: 15,
        time_hour: Stamp::new(b"2013-01-01T10:00:00Z").unwrap(),
    };
    assert_eq!(parsed(&GOOD.map(str::as_bytes)), Ok(expected));
}

#[test]
fn columns_are_found_by_name_wherever_they_stand() {
    let mut names: Vec<_> = NAMES.iter().chain(&["extra"]).collect();
    let mut fields: Vec<_> = GOOD.iter().chain(&["?"]).collect();
    names.reverse();
    fields.reverse();
    let columns = Columns::from_headers(&ByteRecord::from(names)).unwrap();
    assert_eq!(
        parse(&ByteRecord::from(fields), &columns),
        parsed(&GOOD.map(str::as_bytes))
    );
}

#[test]
fn every_missing_column_is_named() {
    let header: Vec<_> = NAMES
        .iter()
        .filter(|name| !["year", "dest"].contains(name))
        .collect();
    let missing = Columns::from_headers(&ByteRecord::from(header)).unwrap_err();
    assert_eq!(missing.names, ["year", "dest"]);
}

#[test]
fn na_and_nothing_are_none_where_that_is_allowed() {
    for column in [
        "dep_time",
        "dep_delay",
        "arr_time",
        "arr_delay",
        "tailnum",
        "air_time",
    ] {
        assert_eq!(with(column, b"NA"), with(column, b""));
        assert!(with(column, b"NA").is_ok(), "{column}");
    }
    assert!(with("dep_time", b"NA").unwrap().is_cancelled());
}

#[test]
fn na_is_an_error_where_a_value_is_required() {
    for column in ["year", "sched_dep_time", "carrier", "dest", "time_hour"] {
        assert_eq!(with(column, b"NA"), Err(RowError::Missing { column }));
    }
}

#[test]
fn delays_may_be_negative_and_distances_may_not() {
    assert_eq!(with("arr_delay", b"-18").unwrap().arr_delay, Some(-18));
    let error = with("distance", b"-18").unwrap_err();
    assert_eq!(error.to_string(), "column distance: -18 is out of range");
}

#[test]
fn what_is_no_number_is_quoted() {
    for value in ["soon", "1.5", "-", "--1", " 1", "1e3", "٣"] {
        let error = with("dep_delay", value.as_bytes()).unwrap_err();
        let expected = format!("column dep_delay: `{value}` is not a whole number");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn numbers_that_mean_nothing_are_out_of_range() {
    for (column, value) in [
        ("month", "13"),
        ("day", "0"),
        ("dep_time", "2401"),
        ("dep_time", "1260"),
        ("minute", "60"),
        ("flight", "1234567890"),
        ("air_time", "99999999999999999999"),
    ] {
        let value = value.to_owned();
        assert_eq!(
            with(column, value.as_bytes()),
            Err(RowError::OutOfRange { column, value })
        );
    }
}

#[test]
fn bytes_that_are_no_text_are_named_by_their_column() {
    let text = with("carrier", b"U\xff").unwrap_err();
    assert!(
        matches!(
            text,
            RowError::Text {
                column: "carrier",
                source: TextError::Utf8(_)
            }
        ),
        "{text}"
    );
    let number = with("flight", b"1\xff").unwrap_err();
    assert_eq!(
        number.to_string(),
        "column flight: `1\\xff` is not a whole number"
    );
}

#[test]
fn text_that_is_too_long_is_refused() {
    let error = with("origin", b"an airport without a code").unwrap_err();
    assert!(
        matches!(
            error,
            RowError::Text {
                source: TextError::TooLong { .. },
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_row_of_another_length_says_both_lengths() {
    let short = parsed(&GOOD.map(str::as_bytes)[..3]).unwrap_err();
    assert_eq!(short.to_string(), "the row has 3 fields, the header 19");
    let long = [&GOOD.map(str::as_bytes)[..], &[b"more"]].concat();
    assert_eq!(
        parsed(&long),
        Err(RowError::Fields {
            expected: 19,
            found: 20
        })
    );
}

#[test]
fn sixteen_minutes_are_late_and_fifteen_are_not() {
    let flight = |minutes: &str| Flight {
        departure: with("arr_delay", minutes.as_bytes()).unwrap(),
        airline: None,
        plane: None,
        destination: Arc::new(Airport::default()),
    };
    let late = ["16", "15", "-20", "NA"].map(|minutes| flight(minutes).is_late());
    assert_eq!(late, [true, false, false, false]);
}
