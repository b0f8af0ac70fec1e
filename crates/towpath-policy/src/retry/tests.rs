//! Tests of the options of a retry.

use std::{error::Error, time::Duration};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Jitter, Retry};
use crate::{Class, InvalidOptions, Problems, classify_fn, read_options};

const MS: Duration = Duration::from_millis(1);

fn read(options: Value) -> Result<Retry, InvalidOptions> {
    read_options(options)
}

fn problems(retry: &Retry) -> Vec<String> {
    let mut problems = Problems::new();
    problems.within("retry", |problems| retry.problems(problems));
    let problems = problems.into_result().err();
    let problems = problems.iter().flat_map(InvalidOptions::problems);
    problems.map(ToString::to_string).collect()
}

fn assert_same(read: &Retry, built: &Retry) {
    assert_eq!(format!("{read:?}"), format!("{built:?}"));
}

#[test]
fn every_option_can_be_read() {
    let options = json!({
        "exponential": { "base": "50ms", "cap": "10s" }, "attempts": 7, "jitter": "decorrelated",
        "seed": 3, "deadline": "1m 30s", "budget": 0.5, "budget_at_least": 2,
    });
    let built = Retry::exponential(50 * MS, 10_000 * MS)
        .attempts(7)
        .jitter(Jitter::Decorrelated)
        .seed(3)
        .deadline(90_000 * MS)
        .budget(0.5)
        .budget_at_least(2);
    assert_same(&read(options).unwrap(), &built);
    assert_same(
        &read(json!({ "fixed": "1s" })).unwrap(),
        &Retry::fixed(1000 * MS),
    );
}

#[test]
fn a_rate_per_second_is_written_in_words_or_as_a_number() {
    for rate in [json!("3/s"), json!(" 3 /s"), json!(3)] {
        let retry = read(json!({ "budget_at_least": rate })).unwrap();
        assert_same(&retry, &Retry::default().budget_at_least(3));
    }
    for rate in [
        json!("3"),
        json!("3/m"),
        json!("-3/s"),
        json!(-3),
        json!(1_u64 << 32),
        json!(0.5),
    ] {
        let error = read(json!({ "budget_at_least": rate })).unwrap_err();
        assert_eq!(error.problems()[0].path, "budget_at_least", "{rate}");
    }
}

#[test]
fn options_are_printed_in_words() {
    let retry = Retry::default().deadline(90_000 * MS);
    assert_eq!(
        retry.to_string(),
        "5 attempts, 100ms doubled up to 10s, full jitter, within 1m 30s, budget 0.2 + 10/s"
    );
    let retry = Retry::fixed(1500 * MS).attempts(2).budget(1.0);
    assert_eq!(
        retry.to_string(),
        "2 attempts, 1s 500ms apart, budget 1 + 10/s"
    );
}

#[test]
fn no_option_has_to_be_given() {
    let retry = read(json!({})).unwrap();
    assert_same(&retry, &Retry::default());
    assert_same(&retry, &Retry::exponential(100 * MS, 10_000 * MS));
    assert_eq!(problems(&retry), Vec::<String>::new());
    assert_eq!(retry.start(Instant::now()).attempts, 5);
}

#[test]
fn two_schedules_exclude_each_other() {
    let options = json!({ "fixed": "1s", "exponential": { "base": "1s", "cap": "2s" } });
    let error = read(options).unwrap_err();
    assert!(error.to_string().contains("exclude each other"), "{error}");
}

#[test]
fn who_says_how_long_exactly_gets_no_jitter_unless_asked_for() {
    let jitter = |retry: &Retry| retry.effective_jitter();
    assert_eq!(jitter(&Retry::exponential(MS, MS)), Jitter::Full);
    assert_eq!(jitter(&Retry::fixed(MS)), Jitter::None);
    assert_eq!(jitter(&Retry::custom(|_, _| None)), Jitter::None);
    assert_eq!(
        jitter(&Retry::fixed(MS).jitter(Jitter::Equal)),
        Jitter::Equal
    );
}

#[test]
fn every_problem_of_a_retry_is_reported_with_its_path() {
    let retry = Retry::exponential(Duration::ZERO, Duration::MAX)
        .attempts(0)
        .deadline(Duration::ZERO)
        .budget(f64::NAN);
    assert_eq!(
        problems(&retry),
        [
            "retry.exponential.base: must be more than 0s",
            "retry.exponential.cap: must be at most 10 years",
            "retry.attempts: must be at least 1",
            "retry.deadline: must be more than 0s",
            "retry.budget: must be from 0 to 1000, not NaN",
        ]
    );
    let retry = Retry::exponential(2 * MS, MS);
    assert_eq!(
        problems(&retry),
        ["retry.exponential.cap: must be no less than the base"]
    );
    let retry = Retry::fixed(Duration::MAX).jitter(Jitter::Decorrelated);
    assert_eq!(
        problems(&retry),
        [
            "retry.fixed: must be at most 10 years",
            "retry.jitter: decorrelated needs an exponential schedule",
        ]
    );
}

#[test]
fn a_classifier_can_be_set_after_the_rest_was_read() {
    let retry = read(json!({ "attempts": 2 })).unwrap();
    let retry = retry.classify(classify_fn(|_| Class::Permanent));
    let class = retry.classifier().classify(&std::fmt::Error);
    assert_eq!(class, Class::Permanent);
}

#[test]
fn each_start_has_a_budget_of_its_own() {
    let retry = Retry::fixed(MS).budget_at_least(1);
    let now = Instant::now();
    let (one, other) = (retry.start(now), retry.start(now));
    assert!(one.budget.withdraw(now) && !one.budget.withdraw(now));
    assert!(other.budget.withdraw(now));
}

#[test]
fn options_and_what_they_start_can_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Retry>();
    check::<super::Retrying>();
}

const FIELDS: [&str; 10] = [
    "exponential",
    "exponential.base",
    "exponential.cap",
    "fixed",
    "attempts",
    "jitter",
    "seed",
    "deadline",
    "budget",
    "budget_at_least",
];

/// Good options but for one field.
fn with_field(path: &str, value: Value) -> Value {
    let mut options = json!({});
    match path.split_once('.') {
        Some((outer, inner)) => {
            options[outer] = json!({ "base": "1s", "cap": "1s" });
            options[outer][inner] = value;
        }
        None => options[path] = value,
    }
    options
}

fn garbage() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!(0)),
        Just(json!(-0.0)),
        ".{0,12}".prop_map(Value::from),
        "-?[0-9]{1,22}(\\.[0-9]{1,3})? ?(ns|us|ms|s|m|h|days|years)?".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{0,6}|base|cap", inner, 0..3)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn garbage_in_a_field_is_an_error_with_its_name_or_else_it_works(
        field in prop::sample::select(&FIELDS[..]), value in garbage(),
    ) {
        let found = match read(with_field(field, value)) {
            Err(error) => error.problems().iter().map(ToString::to_string).collect(),
            Ok(retry) => {
                exercise(&retry);
                problems(&retry)
            }
        };
        // A cap that is less than the base is the fault of either.
        let name = field.split('.').next().unwrap();
        prop_assert!(found.iter().all(|problem| problem.contains(name)), "{found:?}");
    }

    #[test]
    fn any_options_at_all_are_read_or_refused_without_a_panic(value in garbage()) {
        if let Ok(retry) = read(value) {
            exercise(&retry);
        }
    }
}

/// Uses a retry as it is, even when its options have problems.
fn exercise(retry: &Retry) {
    let now = Instant::now();
    let retrying = retry.start(now);
    let error: &(dyn Error + 'static) = &std::fmt::Error;
    for attempt in [0, 1, 40, u32::MAX] {
        let delay = retrying.backoff.delay(attempt, Duration::MAX, error);
        assert!(delay.is_some_and(|delay| now.checked_add(delay).is_some()));
    }
    retrying.budget.deposit();
    retrying.budget.withdraw(now);
}
