//! The report as a table and as JSON, and the exit status.

use super::*;

fn code(text: &str) -> Code {
    Code::new(text.as_bytes()).unwrap()
}

fn summary() -> Summary {
    let mut stored = Stored::default();
    stored.add(Table::Flights, code("JFK"), 2);
    stored.add(Table::Flights, code("EWR"), 3);
    stored.add(Table::Flights, code("JFK"), 5);
    stored.add(Table::Late, code("JFK"), 4);
    let mut summary = Summary {
        read: 13,
        dropped: 1,
        rejected: 2,
        complete: true,
        ..Summary::default()
    };
    summary.add(stored);
    summary
}

fn status(left: u64, complete: bool, failure: Option<FlightsError>) -> u8 {
    let summary = Summary {
        left,
        complete,
        ..summary()
    };
    Finished { summary, failure }.status()
}

#[test]
fn batches_add_up() {
    let summary = summary();
    assert_eq!((summary.delivered, summary.late), (10, 4));
    assert_eq!(summary.by_origin[&code("JFK")], 7);
}

#[test]
fn as_json_it_is_one_line_with_the_agreed_names() {
    let json = serde_json::to_string(&summary()).unwrap();
    assert_eq!(
        json,
        r#"{"read":13,"dropped":1,"rejected":2,"delivered":10,"late":4,"by_origin":{"EWR":3,"JFK":7},"elapsed_ms":0,"in_flight_high_water":0,"left":0,"complete":true}"#
    );
    assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary());
}

#[test]
fn as_a_table_the_numbers_stand_below_each_other() {
    let table = summary().to_string();
    let ends = table.lines().filter(|line| {
        let count = line.get(24..34).unwrap_or_default();
        count.trim().parse::<u64>().is_ok() && count.ends_with(|c: char| c.is_ascii_digit())
    });
    assert_eq!(ends.count(), table.lines().count(), "{table}");
    assert!(table.contains("EWR 3, JFK 7"), "{table}");
}

#[test]
fn success_is_only_a_whole_file_with_nothing_left() {
    let failure = || FlightsError::SameFile { path: "x".into() };
    assert_eq!(status(0, true, None), 0);
    assert_eq!(status(1, true, None), 1);
    assert_eq!(status(0, false, None), INTERRUPTED);
    assert_eq!(status(1, false, None), 1);
    assert_eq!(status(0, true, Some(failure())), 1);
}
