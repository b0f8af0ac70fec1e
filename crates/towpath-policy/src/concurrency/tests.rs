//! Concurrency read from data, checked, and printed.

use super::*;
use crate::{Problems, read_options};

fn read(text: &str) -> Result<Concurrency, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    read_options(&mut deserializer).map_err(|error| error.to_string())
}

fn problems(concurrency: &Concurrency) -> Vec<String> {
    let mut problems = Problems::new();
    problems.within("concurrency", |problems| concurrency.problems(problems));
    match problems.into_result() {
        Ok(()) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_limit_is_read_as_a_number_or_by_name() {
    assert_eq!(read("20"), Ok(Concurrency::limit(20)));
    assert_eq!(read(r#"{ "limit": 20 }"#), Ok(Concurrency::limit(20)));
}

#[test]
fn an_adaptive_limit_is_read_as_a_word_or_with_its_options() {
    assert_eq!(read(r#""adaptive""#), Ok(Concurrency::adaptive()));
    assert_eq!(read(r#"{ "adaptive": {} }"#), Ok(Concurrency::adaptive()));
    let text = r#"{ "adaptive": {
        "between": [2, 50], "start_at": 5, "tolerance": 0.5, "decrease": 0.8
    } }"#;
    let all = Concurrency::adaptive()
        .between(2, 50)
        .start_at(5)
        .tolerance(0.5)
        .decrease(0.8);
    assert_eq!(read(text), Ok(all));
}

#[test]
fn what_cannot_be_read_is_named() {
    for (text, named) in [
        (r#""fast""#, "\"fast\""),
        ("-1", "-1"),
        ("1.5", "1.5"),
        (r#"{ "limits": 3 }"#, "limits"),
        (r#"{ "adaptive": { "start": 3 } }"#, "start"),
        (r#"{ "adaptive": { "start_at": "x" } }"#, "start_at"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(named), "{text}: {error}");
    }
}

#[test]
fn every_problem_is_reported_with_its_path() {
    assert_eq!(
        problems(&Concurrency::limit(0)),
        ["concurrency.limit: must be at least 1"]
    );
    let all = Concurrency::adaptive()
        .between(0, 20)
        .start_at(30)
        .tolerance(f64::NAN)
        .decrease(1.0);
    assert_eq!(
        problems(&all),
        [
            "concurrency.adaptive.between: must be at least 1",
            "concurrency.adaptive.start_at: must be from 0 to 20, not 30",
            "concurrency.adaptive.tolerance: must be from 0.01 to 10, not NaN",
            "concurrency.adaptive.decrease: must be from 0.5 to 0.99, not 1",
        ]
    );
    assert_eq!(
        problems(&Concurrency::adaptive().between(20, 10)),
        ["concurrency.adaptive.between: must not end at 10, below 20 where it begins"]
    );
}

#[test]
fn what_makes_sense_has_no_problem() {
    for concurrency in [
        Concurrency::limit(1),
        Concurrency::adaptive(),
        Concurrency::adaptive().between(1, 2),
        Concurrency::adaptive().between(50, 50),
        Concurrency::limit(20).between(1, 100),
    ] {
        assert_eq!(problems(&concurrency), [""; 0], "{concurrency:?}");
    }
}

#[test]
fn an_adaptive_limit_starts_at_10_or_the_nearest_that_is_allowed() {
    assert_eq!(Concurrency::adaptive().fixed_limit(), 10);
    assert_eq!(Concurrency::adaptive().between(1, 4).fixed_limit(), 4);
    assert_eq!(Concurrency::adaptive().between(50, 90).fixed_limit(), 50);
    assert_eq!(Concurrency::limit(20).between(1, 100).fixed_limit(), 20);
}

#[test]
fn it_is_printed_in_a_few_words() {
    assert_eq!(Concurrency::limit(20).to_string(), "20 at once");
    assert_eq!(Concurrency::adaptive().to_string(), "1 to 200 at once");
}
