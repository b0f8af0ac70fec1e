//! Files of comma-separated values.

use std::{collections::BTreeMap, num::NonZeroUsize};

use csv::ByteRecord;
use towpath_core::{Permanent, Position, find};

use super::*;
use crate::{
    open_file::ReadError,
    test_kit::{Engine, chain, file, gzip, truncated_gzip, until_it_fails},
};

async fn rows_of(bytes: impl AsRef<[u8]>) -> Vec<CsvRow> {
    let text = file(bytes);
    Engine::new(Csv::new(text.path())).all(64).await
}

async fn open_error(bytes: impl AsRef<[u8]>) -> OpenError {
    let text = file(bytes);
    let error = Csv::new(text.path()).open().await.unwrap_err();
    *error.downcast().unwrap()
}

/// Line and first field of each row.
fn lines(rows: &[CsvRow]) -> Vec<(u64, &str)> {
    let first = |row: &'_ CsvRow| row.line();
    let text = rows
        .iter()
        .map(|row| str::from_utf8(row.field(0).unwrap()).unwrap());
    rows.iter().map(first).zip(text).collect()
}

#[tokio::test(start_paused = true)]
async fn rows_know_their_columns_and_their_line() {
    let rows = rows_of("id,name\n1,one\n2,\"two, too\"\n").await;
    assert_eq!(lines(&rows), [(2, "1"), (3, "2")]);
    assert_eq!(rows[1].get("name"), Some(&b"two, too"[..]));
    assert_eq!(rows[1].get("none"), None);
    assert_eq!(rows[1].record().len(), 2);
    assert_eq!(rows[1].headers().get(1), Some(&b"name"[..]));
}

#[tokio::test(start_paused = true)]
async fn the_position_of_a_row_is_its_line() {
    let text = file("id\n1\n");
    let mut engine = Engine::new(Csv::new(text.path()));
    while engine.receive(8).await.unwrap() == Received::More {}
    let expected = Position {
        partition: 0,
        offset: 2,
    };
    assert_eq!(engine.taken()[0].origin.position, Some(expected));
}

#[tokio::test(start_paused = true)]
async fn line_numbers_hold_for_every_kind_of_line_end_and_for_empty_lines() {
    let expected = [(2, "1"), (3, "2\n2"), (6, "3"), (8, "4")];
    let text = "id,b\n1,\n\"2\n2\",\"\n\"\n3,\n\n4,\n";
    assert_eq!(lines(&rows_of(text).await), expected, "LF");
    let without_last = text.trim_end();
    assert_eq!(
        lines(&rows_of(without_last).await),
        expected,
        "no end of the last line"
    );
    let with_mark = format!("\u{feff}{text}");
    assert_eq!(
        lines(&rows_of(with_mark).await),
        expected,
        "byte order mark"
    );
    let rows = rows_of(text.replace('\n', "\r\n")).await;
    let numbers: Vec<_> = rows.iter().map(CsvRow::line).collect();
    assert_eq!(numbers, [2, 3, 6, 8], "CRLF");
}

#[tokio::test(start_paused = true)]
async fn line_numbers_hold_over_a_file_of_many_buffers() {
    for end in ["\n", "\r\n"] {
        let text = (0..30_000)
            .map(|n| format!("{n},some text{end}"))
            .collect::<Vec<_>>()
            .concat();
        let rows = rows_of(format!("id,b{end}{text}")).await;
        assert_eq!(rows.len(), 30_000);
        for (index, row) in rows.iter().enumerate() {
            assert_eq!(row.line(), index as u64 + 2);
            assert_eq!(row.field(0).unwrap(), index.to_string().as_bytes());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_that_is_in_use_is_not_written_over() {
    let text = (0..10_000)
        .map(|n| format!("{n}\n"))
        .collect::<Vec<_>>()
        .concat();
    let text = file(format!("id\n{text}"));
    let mut engine = Engine::new(Csv::new(text.path()));
    let mut kept = Vec::new();
    let mut index: usize = 0;
    while engine.receive(64).await.unwrap() == Received::More {
        for row in engine.payloads() {
            assert_eq!(row.field(0).unwrap(), index.to_string().as_bytes());
            if index % 1000 == 7 {
                kept.push((index, row));
            }
            index += 1;
        }
    }
    assert_eq!((index, kept.len()), (10_000, 10));
    for (index, row) in kept {
        assert_eq!(row.field(0).unwrap(), index.to_string().as_bytes());
    }
}

#[test]
fn a_block_is_bounded_in_rows_bytes_and_fields() {
    let narrow = "1\n".repeat(2000);
    let long = format!("{}\n", "x".repeat(30_000)).repeat(10);
    let wide = format!("{}\n", ",".repeat(30_000)).repeat(10);
    for (rows, most) in [(narrow, 512), (long, 3), (wide, 3)] {
        let text = file(format!("id\n{rows}"));
        let blocks = RowReader::open(&Csv::new(text.path()).options).unwrap();
        let lengths: Vec<_> = blocks.map(|block| block.unwrap().len()).collect();
        assert_eq!(lengths.iter().sum::<usize>(), rows.lines().count());
        assert_eq!(lengths.iter().max(), Some(&most));
    }
}

#[tokio::test(start_paused = true)]
async fn a_receive_of_rows_that_is_cut_short_loses_nothing() {
    let text = (0..3000)
        .map(|n| format!("{n}\n"))
        .collect::<Vec<_>>()
        .concat();
    let text = file(gzip(format!("id\n{text}")));
    let mut engine = Engine::new(Csv::new(text.path()));
    engine.source.open().await.unwrap();
    let mut rows = Vec::new();
    while engine.receive(7).await.unwrap() == Received::More {
        drop(engine.cut_short(5));
        rows.extend(engine.payloads());
    }
    rows.extend(engine.payloads());
    assert!(rows.iter().map(CsvRow::line).eq(2..3002));
}

#[tokio::test(start_paused = true)]
async fn a_row_with_the_wrong_number_of_fields_is_delivered_and_not_decoded() {
    let rows = rows_of("a,b\n1,2\n3\n4,5,6\n7,8\n").await;
    assert_eq!(rows.len(), 4);
    let decoded: Vec<_> = rows.iter().map(CsvRow::deserialize::<(u8, u8)>).collect();
    assert_eq!(decoded[0].as_ref().unwrap(), &(1, 2));
    assert!(matches!(
        decoded[1],
        Err(RowError::Fields {
            line: 3,
            expected: 2,
            found: 1
        })
    ));
    assert!(matches!(
        decoded[2],
        Err(RowError::Fields {
            line: 4,
            expected: 2,
            found: 3
        })
    ));
    assert_eq!(decoded[3].as_ref().unwrap(), &(7, 8));
    assert_eq!(rows[1].get("b"), None);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_no_text_is_delivered_and_not_decoded() {
    let rows = rows_of(b"a,b\n1,b\xffd\n2,good\n").await;
    let error = rows[0].deserialize::<(u8, String)>().unwrap_err();
    assert!(matches!(error, RowError::Decode { line: 2, .. }));
    assert!(chain(&error).contains("invalid utf-8"), "{}", chain(&error));
    assert_eq!(rows[1].deserialize::<(u8, String)>().unwrap().1, "good");
}

#[tokio::test(start_paused = true)]
async fn a_row_is_decoded_by_the_names_of_its_columns() {
    #[derive(serde::Deserialize, PartialEq, Debug)]
    struct Flight {
        dest: String,
        delay: Option<i32>,
    }
    let rows = rows_of("delay,other,dest\n-5,x,IAH\n,x,MIA\n").await;
    let flights: Vec<Flight> = rows.iter().map(|row| row.deserialize().unwrap()).collect();
    let flight = |dest: &str, delay| Flight {
        dest: dest.into(),
        delay,
    };
    assert_eq!(flights, [flight("IAH", Some(-5)), flight("MIA", None)]);
}

#[tokio::test(start_paused = true)]
async fn a_row_serialises_as_a_map_from_column_to_text() {
    let rows = rows_of(b"a,b\n1,b\xffd\n3\n4,5,6\n").await;
    let shown: Vec<_> = rows
        .iter()
        .map(|r| serde_json::to_string(r).unwrap())
        .collect();
    let expected = [
        "{\"a\":\"1\",\"b\":\"b\u{fffd}d\"}",
        "{\"a\":\"3\"}",
        "{\"a\":\"4\",\"b\":\"5\",\"3\":\"6\"}",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_row_can_be_made_for_a_test_of_a_decoder() {
    let row = CsvRow::new(ByteRecord::from(vec!["id"]), ByteRecord::from(vec!["7"]));
    let decoded: BTreeMap<String, u8> = row.deserialize().unwrap();
    assert_eq!((decoded["id"], row.line()), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn a_file_of_a_header_alone_has_no_rows() {
    assert!(rows_of("id,name\n").await.is_empty());
    assert!(rows_of(gzip("id,name")).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_file_without_a_header_cannot_be_opened() {
    for empty in [Vec::new(), b"\n\r\n\n".to_vec(), gzip("")] {
        assert!(matches!(
            open_error(empty).await,
            OpenError::NoHeader { .. }
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_ends_within_its_header_cannot_be_opened() {
    let error = open_error(truncated_gzip("id,name\n")).await;
    assert!(matches!(error, OpenError::Unreadable { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_lacks_columns_cannot_be_opened_and_the_error_names_them_all() {
    let text = file("b,x\n1,2\n");
    let mut csv = Csv::new(text.path()).require_columns(["a", "b", "c"]);
    let error = csv.open().await.unwrap_err();
    let Some(OpenError::MissingColumns { columns, .. }) = error.downcast_ref() else {
        panic!("{error}");
    };
    assert_eq!(columns, &["a", "c"]);
    assert!(error.to_string().ends_with("has no column a, c"));
}

#[tokio::test(start_paused = true)]
async fn a_directory_is_no_table() {
    let folder = tempfile::tempdir().unwrap();
    let error = Csv::new(folder.path()).open().await.unwrap_err();
    assert!(matches!(
        error.downcast_ref(),
        Some(OpenError::Directory { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_truncated_gzip_hands_out_its_whole_rows_and_then_fails_for_good() {
    let text = (0..5000)
        .map(|n| format!("{n},{}\n", n * 7919))
        .collect::<Vec<_>>()
        .concat();
    let broken = file(truncated_gzip(format!("id,b\n{text}")));
    let mut engine = Engine::new(Csv::new(broken.path()));
    let (rows, error) = until_it_fails(&mut engine).await;
    assert!((1000..4000).contains(&rows.len()), "{} rows", rows.len());
    for (index, row) in rows.iter().enumerate() {
        let (id, b): (usize, usize) = row.deserialize().unwrap();
        assert_eq!((id, b), (index, index * 7919));
    }
    assert!(find::<Permanent>(&*error).is_some());
    assert_eq!(
        find::<ReadError>(&*error).unwrap().line(),
        rows.len() as u64 + 2
    );
    let again = engine.receive(8).await.unwrap_err();
    assert_eq!(
        chain(&*again),
        chain(&*error),
        "asked again, it says the same"
    );
}

#[tokio::test(start_paused = true)]
async fn a_quote_that_is_left_open_does_not_read_the_whole_file_into_memory() {
    for end in ["\n", "\r\n"] {
        let text = "1,x\n".repeat(100_000).replace('\n', end);
        let text = file(format!("a,b{end}1,2{end}3,\"4{end}{text}"));
        let csv = Csv::new(text.path()).max_row(NonZeroUsize::new(100_000).unwrap());
        let (rows, error) = until_it_fails(&mut Engine::new(csv)).await;
        assert_eq!(rows.len(), 1);
        assert_eq!(find::<ReadError>(&*error).unwrap().line(), 3);
        assert!(chain(&*error).contains("is a quote left open?"));
    }
}

#[tokio::test(start_paused = true)]
async fn another_delimiter_may_stand_between_the_fields() {
    let text = file("a;b\n1,5;2\n");
    let rows = Engine::new(Csv::new(text.path()).delimiter(b';'))
        .all(8)
        .await;
    assert_eq!(rows[0].get("a"), Some(&b"1,5"[..]));
}
