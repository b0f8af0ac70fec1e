//! Rates and options in words, and what is wrong with them.

use std::time::Duration;

use proptest::prelude::*;

use crate::{
    Problems,
    rate::{
        options::{RateLimit, WhenLimited},
        rate_value::{InvalidRate, Rate},
    },
};

fn parse(words: &str) -> Result<Rate, InvalidRate> {
    words.parse()
}

fn problems<L>(options: &RateLimit<L>) -> Vec<String> {
    let mut problems = Problems::new();
    problems.within("rate_limit", |problems| options.problems(problems));
    match problems.into_result() {
        Ok(()) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_rate_is_written_as_so_many_in_so_long() {
    let second = Duration::from_secs(1);
    for (words, count, period) in [
        ("500/s", 500, second),
        ("500 / sec", 500, second),
        ("30000/m", 30_000, 60 * second),
        ("10/h", 10, 3_600 * second),
        ("3/day", 3, 86_400 * second),
        ("100 per 250ms", 100, second / 4),
        ("100/250ms", 100, second / 4),
        ("7 per second", 7, second),
    ] {
        assert_eq!(parse(words), Ok(Rate::new(count, period)), "{words}");
    }
}

#[test]
fn words_that_are_no_rate_are_told_what_is_wrong_with_them() {
    for (words, part) in [
        ("", "`` is no rate"),
        ("fast", "`fast` is no rate"),
        ("500", "`500` is no rate"),
        ("-1/s", "the count `-1`"),
        ("1.5/s", "the count `1.5`"),
        ("NaN/s", "the count `NaN`"),
        ("99999999999/s", "the count `99999999999`"),
        ("5/parsec", "the period `parsec`"),
        ("5/", "the period ``"),
        ("5/-1s", "the period `-1s`"),
        ("0/s", "the rate is zero"),
        ("5/0s", "the period of the rate is zero"),
        ("5 per 2years", "longer than a year"),
        ("4000000000/s", "above 1000000000 per second"),
    ] {
        let message = parse(words).unwrap_err().to_string();
        assert!(message.contains(part), "{words}: {message}");
    }
}

#[test]
fn options_are_a_rate_or_a_table() {
    let short: RateLimit = serde_json::from_str(r#""500/s""#).unwrap();
    assert_eq!(short.to_string(), "rate limit 500/s, burst 51");
    let table = r#"{ "rate": "30000/m", "burst": 7, "when_limited": "reject", "max_keys": 5 }"#;
    let long: RateLimit = serde_json::from_str(table).unwrap();
    assert_eq!(long.to_string(), "rate limit 30000/m, burst 7, rejecting");
    let leaky = r#"{ "rate": "10/s", "algorithm": "leaky_bucket", "when_store_fails": "open" }"#;
    let leaky: RateLimit = serde_json::from_str(leaky).unwrap();
    assert_eq!(leaky.to_string(), "rate limit 10/s, evenly spaced");
}

#[test]
fn options_that_do_not_exist_are_refused_by_name() {
    for (options, part) in [
        (r#"{ "rate": "5/s", "bursts": 3 }"#, "bursts"),
        (r#"{ "burst": 3 }"#, "rate"),
        (r#"{ "rate": "5/s", "burst": -1 }"#, "-1"),
        (r#"{ "rate": 5 }"#, "a rate such as 500/s"),
        (r#"{ "rate": "0/s" }"#, "the rate is zero"),
        ("7", "a rate such as 500/s"),
    ] {
        let error = serde_json::from_str::<RateLimit>(options).unwrap_err();
        assert!(error.to_string().contains(part), "{options}: {error}");
    }
}

#[test]
fn every_problem_is_reported_with_its_path() {
    assert_eq!(problems(&RateLimit::per_second(5)), Vec::<String>::new());
    let bad = RateLimit::per_second(0).burst(0).max_keys(0).leaky_bucket();
    assert_eq!(
        problems(&bad),
        [
            "rate_limit.rate: the rate is zero",
            "rate_limit.burst: must be at least 1",
            "rate_limit.burst: only a token bucket has a burst",
            "rate_limit.max_keys: must be at least 1",
        ]
    );
}

#[test]
fn waiting_or_rejecting_the_last_word_counts() {
    let rejecting = RateLimit::per_second(5).waiting().rejecting();
    let waiting = rejecting.clone().when_limited(WhenLimited::Wait);
    assert!(rejecting.to_string().ends_with("rejecting"));
    assert!(!waiting.to_string().ends_with("rejecting"));
}

proptest! {
    #[test]
    fn a_rate_that_is_printed_reads_the_same(
        count in 1_u32..1_000_000,
        millis in 1_u64..100_000_000,
    ) {
        let rate = Rate::new(count, Duration::from_millis(millis));
        prop_assume!(rate.check().is_ok());
        prop_assert_eq!(parse(&rate.to_string()), Ok(rate));
        let json = serde_json::to_string(&rate).unwrap();
        prop_assert_eq!(serde_json::from_str::<Rate>(&json).unwrap(), rate);
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(words in ".{0,40}") {
        if let Ok(rate) = parse(&words) {
            prop_assert!(rate.check().is_ok());
        }
    }
}
