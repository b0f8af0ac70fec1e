//! Whatever it is given: a clear error or a dead letter, never a panic, and nothing lost.

use std::fs;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use towpath_examples::flights::cli::bundled;
use towpath_examples::flights::record::NAMES;

use crate::program::{Program, Run, some_rows};

const GOOD: &str =
    "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z";

/// A good row with a flight number of its own.
fn good(flight: usize) -> Vec<u8> {
    GOOD.replace("1545", &flight.to_string()).into_bytes()
}

fn file(rows: &[Vec<u8>]) -> Vec<u8> {
    let header = NAMES.join(",").into_bytes();
    let lines: Vec<_> = [header].into_iter().chain(rows.iter().cloned()).collect();
    lines.join(&b'\n')
}

fn run_on(program: &Program, bytes: &[u8]) -> Run {
    let input = program.input(bytes);
    program.run(&["--report", "json", "--input", &input])
}

#[test]
fn wrong_arguments_are_refused_before_anything_is_made() {
    for arguments in [
        &["--concurrency", "0"][..],
        &["--concurrency", "many"],
        &["--batch-size", "0"],
        &["--latency=-1"],
        &["--latency", "600000000"],
        &["--report", "xml"],
        &["--inptu", "x"],
        &["x"],
    ] {
        let program = Program::new();
        let run = program.run(arguments);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{arguments:?}");
        let option = arguments[0].split('=').next().unwrap();
        assert!(run.stderr.contains(option), "{}", run.stderr);
        assert!(program.files().is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_missing_file_is_named() {
    for option in ["--input", "--airlines", "--planes", "--airports"] {
        let program = Program::new();
        program
            .run(&[option, "no/such.csv"])
            .is_refused_with(&["no/such.csv"]);
        assert!(program.files().is_empty(), "{option}");
    }
}

#[test]
fn a_directory_is_called_one() {
    for option in ["--input", "--airports", "--database"] {
        let program = Program::new();
        program
            .run(&[option, "."])
            .is_refused_with(&["is a directory"]);
    }
}

#[test]
fn an_empty_file_is_called_empty() {
    let program = Program::new();
    run_on(&program, b"").is_refused_with(&["is empty"]);
}

#[test]
fn missing_columns_are_all_named() {
    let program = Program::new();
    let text = String::from_utf8(some_rows(3)).unwrap();
    let renamed = text.replace("dep_delay", "late").replace("time_hour", "at");
    run_on(&program, renamed.as_bytes()).is_refused_with(&["no column dep_delay, time_hour"]);
}

#[test]
fn a_table_of_reference_with_a_wrong_value_is_named_by_line_and_column() {
    let program = Program::new();
    let planes = "tailnum,year,manufacturer,model,seats\nN1,1998,CESSNA,172,four\n";
    let planes = program.input(planes.as_bytes());
    program
        .run(&["--planes", &planes])
        .is_refused_with(&["line 2, column seats: `four`"]);
}

#[test]
fn a_file_of_nothing_but_a_header_is_a_job_well_done() {
    let program = Program::new();
    let run = run_on(&program, &file(&[]));
    assert_eq!((run.status, run.summary().read), (0, 0));
}

#[test]
fn a_broken_line_is_a_dead_letter_with_its_number() {
    let program = Program::new();
    let rows = [good(1), b"2013,1,1,half a row".to_vec(), good(2)];
    let run = run_on(&program, &file(&rows));
    let summary = run.summary();
    assert_eq!((run.status, summary.rejected, summary.delivered), (0, 1, 2));
    program.holds_exactly(&summary);
    let letter = &program.dead_letters()[0];
    assert_eq!(
        (&letter["line"], &letter["stage"]),
        (&3.into(), &"decode".into())
    );
    assert!(
        letter["cause"].as_str().unwrap().contains("4 fields"),
        "{letter}"
    );
    assert!(
        letter["original"].to_string().contains("half a row"),
        "{letter}"
    );
}

#[test]
fn bytes_that_are_no_text_are_a_dead_letter_with_its_number() {
    let program = Program::new();
    let mut bad = good(2);
    let carrier = bad.windows(2).position(|bytes| bytes == b"UA").unwrap();
    bad[carrier] = 0xff;
    let run = run_on(&program, &file(&[good(1), good(3), bad, good(4)]));
    let summary = run.summary();
    assert_eq!((run.status, summary.rejected, summary.delivered), (0, 1, 3));
    let letter = &program.dead_letters()[0];
    assert_eq!(letter["line"], 4);
    assert!(
        letter["cause"].as_str().unwrap().contains("carrier"),
        "{letter}"
    );
    assert!(
        letter["cause"].as_str().unwrap().contains("UTF-8"),
        "{letter}"
    );
    assert_eq!(letter["original"]["carrier"]["bytes"][0], 0xff);
}

#[test]
fn a_quote_that_is_never_closed_loses_no_row() {
    let program = Program::new();
    let flights = 70_000..70_050;
    let mut rows: Vec<_> = flights.clone().map(good).collect();
    rows[20].insert(0, b'"');
    let summary = run_on(&program, &file(&rows)).summary();
    program.holds_exactly(&summary);
    let dead = fs::read_to_string(program.path("flights-dead.ndjson")).unwrap();
    let refused = flights.filter(|flight| dead.contains(&flight.to_string()));
    assert_eq!(refused.count() as u64 + summary.delivered, 50);
}

#[test]
fn a_truncated_gzip_is_an_error_after_everything_before_the_cut() {
    let program = Program::new();
    let whole = fs::read(bundled("nyc-flights-2013-01.csv.gz")).unwrap();
    let cut = &whole[..whole.len() / 3];
    let mut readable = Vec::new();
    MultiGzDecoder::new(cut)
        .read_to_end(&mut readable)
        .unwrap_err();
    // Without the header and without what stands behind the last end of a line.
    let rows = readable.split(|byte| *byte == b'\n').count() - 2;
    let run = run_on(&program, cut);
    let summary = run.summary();
    assert_eq!((run.status, summary.complete), (1, false));
    assert_eq!(summary.read, rows as u64);
    program.holds_exactly(&summary);
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    assert!(run.stderr.contains("input"), "{}", run.stderr);
}

#[test]
fn a_read_only_database_is_refused_at_once() {
    let program = Program::new();
    assert_eq!(program.run(&["--latency", "0"]).status, 0);
    // By address and not by permission, which does not bind every user.
    let database = "file:flights.sqlite?mode=ro";
    program
        .run(&["--database", database])
        .is_refused_with(&["read-only"]);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let program = Program::new();
    let notes = program.input("certainly no database. ".repeat(50).as_bytes());
    let before = fs::read(&notes).unwrap();
    program
        .run(&["--database", &notes])
        .is_refused_with(&["is not an SQLite database"]);
    assert_eq!(fs::read(&notes).unwrap(), before);
}

#[test]
fn the_input_is_never_overwritten() {
    for option in ["--database", "--dead-letters"] {
        let program = Program::new();
        let input = program.input(&some_rows(5));
        let before = fs::read(&input).unwrap();
        program
            .run(&["--input", &input, option, &input])
            .is_refused_with(&["is named twice"]);
        assert_eq!(fs::read(&input).unwrap(), before);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn dead_letters_that_cannot_be_written_are_no_success() {
    let program = Program::new();
    let input = program.input(&file(&[good(1), b"half".to_vec()]));
    let run = program.run(&["--input", &input, "--dead-letters", "/dev/full"]);
    assert_eq!(run.status, 1, "{}", run.stderr);
}
