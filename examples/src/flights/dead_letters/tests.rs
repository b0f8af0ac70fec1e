//! What stands in a line, and that nothing of the row is lost.

use serde_json::{Value, json};

use super::*;

fn letter(header: &[&str], row: &[&[u8]]) -> Value {
    let letter = DeadLetter {
        line: Some(7),
        stage: "decode",
        cause: "because".to_owned(),
        attempts: 1,
        original: Some(Original {
            header: &ByteRecord::from(header),
            row: &ByteRecord::from(row),
        }),
    };
    serde_json::to_value(&letter).unwrap()
}

#[test]
fn a_row_of_the_right_length_is_told_by_column() {
    let expected = json!({
        "line": 7, "stage": "decode", "cause": "because", "attempts": 1,
        "original": {"carrier": "UA", "dest": "SJU"},
    });
    assert_eq!(letter(&["carrier", "dest"], &[b"UA", b"SJU"]), expected);
}

#[test]
fn a_row_of_another_length_is_a_list() {
    let letter = letter(&["carrier", "dest"], &[b"UA", b"SJU", b"?"]);
    assert_eq!(letter["original"], json!(["UA", "SJU", "?"]));
}

#[test]
fn bytes_that_are_no_text_are_kept_as_numbers() {
    let letter = letter(&["carrier"], &[b"U\xff"]);
    assert_eq!(letter["original"], json!({"carrier": {"bytes": [85, 255]}}));
}

#[test]
fn letters_are_lines_and_an_older_file_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dead.ndjson");
    std::fs::write(&path, "older\n").unwrap();
    let (header, row) = (
        ByteRecord::from(vec!["a"]),
        ByteRecord::from(vec!["b\n\"c\""]),
    );
    let letter = DeadLetter {
        line: None,
        stage: "enrich",
        cause: "line\nbreak".to_owned(),
        attempts: 3,
        original: Some(Original {
            header: &header,
            row: &row,
        }),
    };
    let mut letters = DeadLetters::create(&path).unwrap();
    letters.write(&letter).unwrap();
    letters.write(&letter).unwrap();
    letters.flush().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["cause"], "line\nbreak");
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let error = DeadLetters::create(Path::new("no/such/dead.ndjson")).unwrap_err();
    let expected = "cannot write dead letters to `no/such/dead.ndjson`";
    assert_eq!(error.to_string(), expected);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_not_a_silence() {
    let (header, row) = (ByteRecord::from(vec!["a"]), ByteRecord::from(vec!["b"]));
    let letter = DeadLetter {
        line: None,
        stage: "decode",
        cause: String::new(),
        attempts: 1,
        original: Some(Original {
            header: &header,
            row: &row,
        }),
    };
    let mut letters = DeadLetters::create(Path::new("/dev/full")).unwrap();
    letters.write(&letter).unwrap();
    assert!(letters.flush().is_err());
}
