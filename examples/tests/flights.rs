//! The example `flights` as a user meets it: a program with arguments, files and an exit status.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; the lint knows only the functions marked as such"
)]

#[path = "flights/bad_input.rs"]
mod bad_input;
#[path = "flights/interrupt.rs"]
mod interrupt;
#[path = "flights/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::io::Read;

use program::{Program, code};
use towpath_examples::flights::baseline;
use towpath_examples::flights::cli::Job;
use towpath_examples::flights::schema::Table;

#[test]
fn the_bundled_month_has_the_known_numbers_without_any_argument() {
    let program = Program::new();
    let run = program.run(&["--report", "json"]);
    let summary = run.summary();
    assert_eq!((summary.read, summary.dropped), (27004, 521));
    assert_eq!((summary.rejected, summary.delivered), (679, 25804));
    assert_eq!(summary.late, 5907);
    let origins = [("EWR", 9514), ("JFK", 8523), ("LGA", 7767)];
    let origins: BTreeMap<_, _> = origins.map(|(origin, rows)| (code(origin), rows)).into();
    assert_eq!(summary.by_origin, origins);
    assert_eq!((summary.left, summary.complete, run.status), (0, true, 0));
    assert!(summary.in_flight_high_water > 0 && summary.elapsed_ms > 0);
    program.holds_exactly(&summary);
}

#[test]
fn running_twice_leaves_the_same_tables() {
    let program = Program::new();
    let dump = || {
        assert_eq!(program.run(&["--latency", "0"]).status, 0);
        Table::ALL.map(|table| program.rows(table))
    };
    assert!(dump() == dump());
}

#[test]
fn pipeline_and_hand_written_loop_leave_the_same_tables_and_dead_letters() {
    let (piped, looped) = (Program::new(), Program::new());
    assert_eq!(piped.run(&["--latency", "1"]).status, 0);
    let job = Job::bundled(
        looped.path("flights.sqlite"),
        looped.path("flights-dead.ndjson"),
    );
    baseline::run(&job).unwrap();
    for table in Table::ALL {
        assert!(piped.rows(table) == looped.rows(table), "{}", table.name());
    }
    assert_eq!(piped.dead_letters_by_line(), looped.dead_letters_by_line());
}

#[test]
fn concurrency_batches_and_seed_change_nothing_of_the_result() {
    let program = Program::new();
    let input = program.input(&program::some_rows(500));
    let input = ["--report", "json", "--input", &input];
    let of = |more: &[&str]| {
        let summary = program.run(&[&input, more].concat()).summary();
        program.holds_exactly(&summary);
        (
            summary.read,
            summary.dropped,
            summary.rejected,
            summary.by_origin,
        )
    };
    let usual = of(&[]);
    assert_eq!(usual, of(&["--concurrency", "1", "--latency", "1"]));
    assert_eq!(usual, of(&["--batch-size", "1", "--latency", "0"]));
    assert_eq!(usual, of(&["--seed", "7"]));
}

#[test]
fn plain_and_gzip_are_told_by_their_content() {
    let program = Program::new();
    let plain = program::some_rows(100);
    let mut gzip = flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast());
    let mut compressed = Vec::new();
    gzip.read_to_end(&mut compressed).unwrap();
    for bytes in [&plain, &compressed] {
        let input = program.input(bytes);
        let run = program.run(&["--report", "json", "--input", &input]);
        assert_eq!(run.summary().read, 100);
    }
}

#[test]
fn every_dead_letter_says_line_cause_and_row() {
    let program = Program::new();
    let run = program.run(&["--report", "json", "--latency", "0"]);
    let header_and_rows = program::bundled_lines();
    let letters = program.dead_letters();
    assert_eq!(letters.len() as u64, run.summary().rejected);
    for letter in letters {
        let line = usize::try_from(letter["line"].as_u64().unwrap()).unwrap();
        let dest = letter["original"]["dest"].as_str().unwrap();
        let cause = format!("destination `{dest}` is not in the table of airports");
        assert!(
            letter["cause"].as_str().unwrap().contains(&cause),
            "{letter}"
        );
        assert_eq!(
            (&letter["stage"], &letter["attempts"]),
            (&"enrich".into(), &1.into())
        );
        let row = program::fields(&letter["original"]);
        assert_eq!(row.join(","), header_and_rows[line - 1]);
    }
}

#[test]
fn the_table_report_shows_the_same_numbers_as_the_json() {
    let program = Program::new();
    let input = program.input(&program::some_rows(200));
    let json = program
        .run(&["--input", &input, "--report", "json"])
        .summary();
    let table = program.run(&["--input", &input]).stdout;
    for (name, count) in [
        ("read", json.read),
        ("dropped", json.dropped),
        ("delivered", json.delivered),
        ("late", json.late),
        ("left", json.left),
    ] {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        let shown = line.split_whitespace().nth(1).unwrap();
        assert_eq!(shown, count.to_string(), "{table}");
    }
}

#[test]
fn where_there_is_no_terminal_there_is_no_progress() {
    let program = Program::new();
    let run = program.run(&["--report", "json"]);
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout.lines().count(), 1);
}

#[test]
fn afterwards_the_database_is_one_file() {
    let program = Program::new();
    program.run(&["--latency", "0"]);
    assert_eq!(program.files(), ["flights-dead.ndjson", "flights.sqlite"]);
}

#[test]
fn a_report_that_nobody_reads_is_an_error_and_no_panic() {
    let program = Program::new();
    let input = program.input(&program::some_rows(10));
    let mut child = program.spawn(&["--input", &input]);
    drop(child.stdout.take());
    let run = program::Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.status, 1);
    assert!(
        run.stderr.starts_with("error: cannot print the report"),
        "{}",
        run.stderr
    );
}
