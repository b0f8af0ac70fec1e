//! JSON by line.

use std::collections::BTreeMap;

use super::*;
use crate::test_kit::{Engine, file, gzip};

#[tokio::test(start_paused = true)]
async fn each_line_that_is_not_blank_is_a_value() {
    let text = "{\"id\": 1}\n\n{\"id\": 2}\r\n";
    for bytes in [text.as_bytes().to_vec(), gzip(text)] {
        let text = file(bytes);
        let lines = Engine::new(NdJson::new(text.path())).all(8).await;
        let values = lines.iter().map(json_line::<BTreeMap<String, u64>>);
        let ids: Vec<_> = values.map(|value| value.unwrap()["id"]).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(lines[1].number(), 3);
    }
}

#[test]
fn a_line_that_is_no_json_names_its_number() {
    let error = json_line::<u64>(&Line::new(7, "seven")).unwrap_err();
    assert!(matches!(error, JsonLineError::Json { line: 7, .. }));
    assert_eq!(error.to_string(), "line 7 is not the JSON expected");
}

#[test]
fn a_line_of_bad_utf8_is_an_error_and_no_panic() {
    let line = Line::new(3, &b"\"b\xffd\""[..]);
    assert!(matches!(
        json_line::<String>(&line),
        Err(JsonLineError::Json { line: 3, .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_was_cut_is_not_decoded() {
    let text = file("12345678\n");
    let source = NdJson::new(text.path()).max_line(NonZeroUsize::new(4).unwrap());
    let lines = Engine::new(source).all(8).await;
    let error = json_line::<u64>(&lines[0]).unwrap_err();
    assert!(matches!(
        error,
        JsonLineError::Line(LineError::TooLong { line: 1, limit: 4 })
    ));
}
