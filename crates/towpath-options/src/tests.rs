//! Tests of options in words and of their problems.

use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;

use crate::{InvalidOptions, Problems, duration, read_options};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    inner: Inner,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[serde(with = "crate::duration")]
    wait: Duration,
    #[serde(default, with = "crate::duration::option")]
    pause: Option<Duration>,
}

fn read(json: &str) -> Result<Outer, InvalidOptions> {
    read_options(&mut serde_json::Deserializer::from_str(json))
}

#[test]
fn durations_are_read_in_words() {
    let outer = read(r#"{"inner": {"wait": "1m 30s", "pause": "200ms"}}"#).unwrap();
    assert_eq!(outer.inner.wait, Duration::from_secs(90));
    assert_eq!(outer.inner.pause, Some(Duration::from_millis(200)));
    let outer = read(r#"{"inner": {"wait": " 2s ", "pause": null}}"#).unwrap();
    assert_eq!(outer.inner.wait, Duration::from_secs(2));
    assert_eq!(outer.inner.pause, None);
}

#[test]
fn a_value_that_is_no_duration_is_named_with_its_path() {
    for bad in [
        "-1",
        "0.5",
        "1e300",
        "true",
        "[]",
        "{}",
        "null",
        r#""""#,
        r#""-2s""#,
        r#""NaN""#,
        r#""5""#,
        r#""99999999999999999999s""#,
        r#""2 parsecs""#,
    ] {
        let error = read(&format!(r#"{{"inner": {{"wait": {bad}}}}}"#)).unwrap_err();
        assert_eq!(error.problems()[0].path, "inner.wait", "{bad}: {error}");
    }
}

#[test]
fn an_unknown_or_absent_field_is_named() {
    let error = read(r#"{"inner": {"wait": "1s", "wiat": "1s"}}"#).unwrap_err();
    assert!(error.to_string().contains("wiat"), "{error}");
    let error = read(r#"{"inner": {}}"#).unwrap_err();
    assert!(error.to_string().contains("wait"), "{error}");
}

#[test]
fn every_problem_is_reported_with_its_path() {
    let mut problems = Problems::new();
    problems.add("name", "is empty");
    problems.within("stages", |stages| {
        stages.within("[1]", |stage| {
            stage.within("retry", |retry| {
                retry.expect_some("attempts", 0_u32);
                retry.expect_time("base", Duration::ZERO);
                retry.expect_time("cap", Duration::MAX);
                retry.expect_between("ratio", f64::NAN, 0.0, 1.0);
                retry.add("", "does not fit");
            });
        });
    });
    problems.add("end", "is odd");
    let error = problems.into_result().unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid options: name: is empty; stages[1].retry.attempts: must be at least 1; \
         stages[1].retry.base: must be more than 0s; \
         stages[1].retry.cap: must be at most 10 years; \
         stages[1].retry.ratio: must be from 0 to 1, not NaN; \
         stages[1].retry: does not fit; end: is odd"
    );
}

#[test]
fn no_problem_is_no_error() {
    let mut problems = Problems::new();
    problems.expect_time("wait", super::LONGEST);
    problems.expect_sane("pause", Duration::ZERO);
    problems.expect_some("attempts", 1_u32);
    problems.expect_between("ratio", 0.0, 0.0, 1.0);
    assert!(problems.is_empty());
    assert_eq!(problems.into_result(), Ok(()));
}

proptest! {
    #[test]
    fn no_text_makes_reading_a_duration_panic(text in ".{0,40}|[0-9]{1,25} ?[a-zµ]{0,7}") {
        if let Err(error) = duration::parse(&text) {
            prop_assert!(error.to_string().contains("is no duration"));
        }
    }
}
