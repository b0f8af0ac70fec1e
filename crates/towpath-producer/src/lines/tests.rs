//! Files by line.

use std::num::NonZeroUsize;

use towpath_core::{Permanent, Position, find};

use super::*;
use crate::{
    open_file::ReadError,
    test_kit::{Engine, chain, file, gzip, truncated_gzip, until_it_fails},
};

async fn lines_of(bytes: impl AsRef<[u8]>) -> Vec<Line> {
    let text = file(bytes);
    Engine::new(Lines::new(text.path())).all(64).await
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|line| line.as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_file_comes_line_by_line_with_numbers_from_one() {
    let lines = lines_of("one\ntwo\r\n\nfour").await;
    assert_eq!(texts(&lines), ["one", "two", "", "four"]);
    let numbers: Vec<_> = lines.iter().map(Line::number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn the_position_of_a_line_is_its_number() {
    let text = file("one\ntwo\n");
    let mut engine = Engine::new(Lines::new(text.path()));
    while engine.receive(8).await.unwrap() == Received::More {}
    let positions: Vec<_> = engine.taken().iter().map(|t| t.origin.position).collect();
    let at = |offset| {
        Some(Position {
            partition: 0,
            offset,
        })
    };
    assert_eq!(positions, [at(1), at(2)]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_file_has_no_lines() {
    assert_eq!(lines_of("").await, []);
    assert_eq!(lines_of(gzip("")).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_is_no_part_of_the_first_line() {
    assert_eq!(
        texts(&lines_of("\u{feff}one\n\u{feff}two\n").await),
        ["one", "\u{feff}two"]
    );
}

#[tokio::test(start_paused = true)]
async fn every_line_of_a_file_of_many_blocks_comes_once_and_in_order() {
    let expected: Vec<_> = (1..=20_000).map(|n| format!("line {n}")).collect();
    let text = expected.join("\n");
    for bytes in [text.clone().into_bytes(), gzip(&text)] {
        let lines = lines_of(bytes).await;
        assert_eq!(texts(&lines), expected);
        assert!(lines.iter().map(Line::number).eq(1..=20_000));
    }
}

#[tokio::test(start_paused = true)]
async fn a_receive_of_lines_that_is_cut_short_loses_nothing() {
    let expected: Vec<_> = (0..3000).map(|n| n.to_string()).collect();
    let text = file(expected.join("\n"));
    let mut engine = Engine::new(Lines::new(text.path()));
    engine.source.open().await.unwrap();
    let mut lines = Vec::new();
    while engine.receive(7).await.unwrap() == Received::More {
        drop(engine.cut_short(5));
        lines.extend(engine.payloads());
    }
    lines.extend(engine.payloads());
    assert_eq!(texts(&lines), expected);
}

#[tokio::test(start_paused = true)]
async fn blank_lines_are_skipped_when_asked_and_still_counted() {
    let text = file("\none\n \t\r\n\ntwo\n");
    let lines = Engine::new(Lines::new(text.path()).skip_blank())
        .all(8)
        .await;
    assert_eq!(lines, [Line::new(2, "one"), Line::new(5, "two")]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_no_text_is_delivered_and_says_so() {
    let lines = lines_of(b"good\nb\xffd\ngood\n").await;
    assert_eq!(lines.len(), 3);
    let error = lines[1].as_str().unwrap_err();
    assert!(matches!(error, LineError::NoText { line: 2, .. }));
    assert_eq!(lines[1].bytes().unwrap().as_ref(), b"b\xffd");
    let shown = serde_json::to_string(&lines[1]).unwrap();
    assert_eq!(shown, "\"b\u{fffd}d\"");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_is_cut_and_says_so_and_the_next_is_whole() {
    for end in ["\n", "\r\n"] {
        for mark in ["", "\u{feff}"] {
            for length in 1..12 {
                let (long, limit) = ("x".repeat(length), 5);
                let text = file(format!("{mark}{long}{end}y{end}"));
                let lines = Lines::new(text.path()).max_line(NonZeroUsize::new(limit).unwrap());
                let lines = Engine::new(lines).all(8).await;
                assert_eq!(lines.len(), 2);
                assert_eq!(lines[0].raw().len(), length.min(limit));
                assert_eq!(lines[0].is_cut(), length > limit);
                let too_long = LineError::TooLong { line: 1, limit };
                assert_eq!(lines[0].bytes().err(), (length > limit).then_some(too_long));
                assert_eq!(lines[1], Line::new(2, "y"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_truncated_gzip_hands_out_its_whole_lines_and_then_fails_for_good() {
    let text: Vec<_> = (0..5000).map(|n| format!("line {}", n * 7919)).collect();
    let broken = file(truncated_gzip(text.join("\n")));
    let mut engine = Engine::new(Lines::new(broken.path()));
    let (lines, error) = until_it_fails(&mut engine).await;
    assert!((1000..4000).contains(&lines.len()), "{} lines", lines.len());
    assert_eq!(texts(&lines), text[..lines.len()]);
    assert!(find::<Permanent>(&*error).is_some());
    let read = find::<ReadError>(&*error).unwrap();
    assert_eq!(read.line(), lines.len() as u64 + 1);
    assert_eq!(read.path(), broken.path());
    assert!(chain(&*error).contains("cannot be read from line"));
    let again = engine.receive(8).await.unwrap_err();
    assert_eq!(
        chain(&*again),
        chain(&*error),
        "asked again, it says the same"
    );
}
