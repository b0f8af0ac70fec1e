//! Options of any kind: used or refused, and nothing panics.

use proptest::prelude::*;
use towpath::{Flow, policy::InvalidOptions};
use towpath_test::{TestSource, check};

use super::{SECOND, Written, bare, read};

/// Any value, the sensible ones included.
fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let words = [
        "500/s",
        "0/s",
        "10 per 0s",
        "9/fortnight",
        "1ms",
        "0s",
        "1h",
        "-1s",
        "adaptive",
        "none",
        "full",
        "decorrelated",
        "wait",
        "reject",
        "leaky_bucket",
        "",
        "\u{0}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0_u64..20).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0.0..1.0_f64).prop_map(Value::from),
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        let names = [
            "adaptive",
            "between",
            "base",
            "cap",
            "rate",
            "threshold",
            "factor",
            "max",
        ];
        let pair = (proptest::sample::select(names.to_vec()), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::from),
            prop::collection::vec(pair, 0..4).prop_map(|pairs| json!(
                pairs
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), v))
                    .collect::<serde_json::Map<_, _>>()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_the_options_are_they_are_used_or_refused_by_name_and_nothing_panics(
        fields in prop::collection::vec((proptest::sample::select(FIELDS.to_vec()), value()), 1..6)
    ) {
        let mut options = serde_json::Map::new();
        for ((policy, field), value) in fields {
            if field.is_empty() {
                options.insert(policy.to_owned(), value);
                continue;
            }
            let fresh = || serde_json::json!({ "rate": "100/s" });
            let table = options.entry(policy.to_owned()).or_insert_with(|| match policy {
                "rate_limit" => fresh(),
                _ => serde_json::json!({}),
            });
            if let Some(table) = table.as_object_mut() {
                table.insert(field.to_owned(), value);
            }
        }
        let json = serde_json::Value::from(options).to_string();
        let problems = match read::<Written>(&json) {
            Err(invalid) => invalid,
            Ok(written) => match paused(written) {
                None => return Ok(()),
                Some(invalid) => invalid,
            },
        };
        for problem in problems.problems() {
            prop_assert!(!problem.path.is_empty() && !problem.message.is_empty(), "{problems}");
        }
    }
}

/// Every option there is, by its policy.
const FIELDS: [(&str, &str); 33] = [
    ("rate_limit", ""),
    ("rate_limit", "rate"),
    ("rate_limit", "burst"),
    ("rate_limit", "algorithm"),
    ("rate_limit", "when_limited"),
    ("rate_limit", "max_keys"),
    ("rate_limit", "when_store_fails"),
    ("retry", ""),
    ("retry", "exponential"),
    ("retry", "fixed"),
    ("retry", "attempts"),
    ("retry", "jitter"),
    ("retry", "seed"),
    ("retry", "deadline"),
    ("retry", "budget"),
    ("retry", "budget_at_least"),
    ("circuit_breaker", ""),
    ("circuit_breaker", "failure_rate"),
    ("circuit_breaker", "over"),
    ("circuit_breaker", "over_calls"),
    ("circuit_breaker", "slow_calls"),
    ("circuit_breaker", "min_calls"),
    ("circuit_breaker", "open_for"),
    ("circuit_breaker", "growing"),
    ("circuit_breaker", "probes"),
    ("circuit_breaker", "probe_successes"),
    ("circuit_breaker", "half_open_for"),
    ("circuit_breaker", "when_open"),
    ("concurrency", ""),
    ("concurrency", "adaptive"),
    ("concurrency", "limit"),
    ("timeout", ""),
    ("panic_guard", ""),
];

/// What is wrong with options that could be read; those that are used work.
fn paused(written: Written) -> Option<InvalidOptions> {
    let invalid = written.build().err();
    if invalid.is_some() {
        return invalid;
    }
    towpath_test::paused(async {
        let (source, outcomes) = TestSource::of(0..3_u64);
        let stage = bare().policies(written);
        let running = Flow::from(source)
            .process(stage)
            .acknowledge()
            .start()
            .await;
        let running = running.expect("what can be built can be started");
        running.handle().stop(SECOND).await;
        let report = running.join().await.expect("it is not dropped");
        check(&report);
        assert_eq!(outcomes.total() as u64, report.counts.emitted);
    });
    None
}
