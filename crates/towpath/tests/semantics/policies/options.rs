//! Policies read from options in words, and options that make no sense.

mod anything;

use std::{fmt::Debug, num::NonZeroUsize, time::Duration};

use serde::de::DeserializeOwned;
use tokio::time::Instant;
use towpath::{
    BuildError, CircuitBreaker, Concurrency, Deadline, Dedup, Flow, Hedge, Jitter, Policies,
    Processor, Rate, RateLimit, Retry, Timeout,
    core::Stage,
    policy::{Again, Flat, InvalidOptions, read_options},
    processor::FnService,
};
use towpath_test::{TestSource, check};

use super::limiting::{Budget, Handled, SECOND, Seen, ms};

type Written = Policies<Flat, Again>;

fn read<T: DeserializeOwned>(json: &str) -> Result<T, InvalidOptions> {
    read_options(&mut serde_json::Deserializer::from_str(json))
}

/// The one problem of options that cannot be read: its path and what is wrong.
fn misread<T: DeserializeOwned + Debug>(json: &str) -> (String, String) {
    let invalid = read::<T>(json).expect_err(json);
    assert_eq!(invalid.problems().len(), 1, "{invalid}");
    let problem = &invalid.problems()[0];
    (problem.path.clone(), problem.message.clone())
}

fn call(n: u64) -> Handled<u64> {
    Box::pin(std::future::ready(Ok(n)))
}

type Bare = Processor<FnService<fn(u64) -> Handled<u64>>>;

fn bare() -> Bare {
    Processor::new("call", call as fn(u64) -> Handled<u64>)
}

/// Starting a pipeline with such a stage fails, and nothing has run.
async fn refused(stage: impl Stage<u64, Out = u64>) -> Vec<String> {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let pipeline = Flow::from(source).process(stage).acknowledge();
    let checked = pipeline.check().expect_err("it is not valid").to_string();
    let error = pipeline.start().await.expect_err("it is not valid");
    assert_eq!(error.to_string(), checked);
    assert_eq!((outcomes.total(), outcomes.demands().len()), (0, 0));
    match error {
        BuildError::Invalid { problems, .. } => problems,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn policies_that_are_read_in_words_are_those_that_are_built_in_code() {
    let read: Written = read(
        r#"{
            "rate_limit": { "rate": "6000/m", "burst": 5 },
            "retry": { "fixed": "20ms", "attempts": 3, "jitter": "none" },
            "circuit_breaker": { "failure_rate": 0.3, "over": "30s", "open_for": "1m 30s" },
            "concurrency": 4,
            "timeout": "250ms"
        }"#,
    )
    .unwrap();
    let breaker = CircuitBreaker::failure_rate(0.3)
        .over(SECOND * 30)
        .open_for(SECOND * 90);
    let built = Policies::new()
        .rate_limit(RateLimit::new(Rate::new(6000, SECOND * 60)).burst(5))
        .retry(Retry::fixed(ms(20)).attempts(3).jitter(Jitter::None))
        .circuit_breaker(breaker)
        .concurrency(Concurrency::limit(4))
        .timeout(Timeout::after(ms(250)));
    assert_eq!(read.describe(), built.describe());
    assert_eq!(read.describe().len(), 5);
    let seen = Seen::new();
    let (source, outcomes) = TestSource::of(0..300_u64);
    let begun = Instant::now();
    let stage = Processor::new("call", seen.handler(|_: &u64| ms(3))).policies(read);
    let report = Flow::from(source)
        .process(stage)
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 300);
    let budget = Budget::per_second(100, 5);
    budget.holds_for(&seen.times());
    assert!(begun.elapsed() >= budget.time_for(300));
}

#[test]
fn rates_and_durations_are_read_in_words() {
    for (words, count, per) in [
        ("500/s", 500, SECOND),
        ("30000/m", 30_000, SECOND * 60),
        ("10 per 2s", 10, SECOND * 2),
        ("7/h", 7, SECOND * 3600),
        ("100 per 250ms", 100, ms(250)),
    ] {
        let limit: RateLimit = read(&format!("\"{words}\"")).unwrap();
        let built = RateLimit::new(Rate::new(count, per));
        assert_eq!(limit.to_string(), built.to_string());
        let table: RateLimit = read(&format!(r#"{{ "rate": "{words}" }}"#)).unwrap();
        assert_eq!(table.to_string(), built.to_string());
    }
    assert_eq!(
        read::<Timeout>(r#""1m 30s""#).unwrap(),
        Timeout::after(SECOND * 90)
    );
    assert_eq!(
        read::<Deadline>(r#""5s""#).unwrap(),
        Deadline::after(SECOND * 5)
    );
    assert_eq!(
        read::<Hedge>(r#"{ "after": "20ms" }"#).unwrap(),
        Hedge::after(ms(20))
    );
    assert!(read::<Dedup>(r#"{ "ttl": "1h", "max_keys": 5 }"#).is_ok());
    assert_eq!(read::<Concurrency>("20").unwrap(), Concurrency::limit(20));
}

#[test]
fn a_value_that_cannot_be_read_is_named_by_its_path() {
    for (json, path, about) in [
        (r#"{ "rate_limit": "fast" }"#, "rate_limit", "fast"),
        (r#"{ "rate_limit": "-5/s" }"#, "rate_limit", "-5"),
        (r#"{ "rate_limit": 500 }"#, "rate_limit", "500/s"),
        (
            r#"{ "rate_limit": { "rate": "5 per moon" } }"#,
            "rate_limit.rate",
            "moon",
        ),
        (
            r#"{ "rate_limit": { "rate": "5/s", "burst": -1 } }"#,
            "rate_limit.burst",
            "-1",
        ),
        (
            r#"{ "rate_limit": { "rate": "5/s", "algorithm": "magic" } }"#,
            "rate_limit.algorithm",
            "magic",
        ),
        (
            r#"{ "rate_limit": { "rate": "5/s", "brust": 9 } }"#,
            "rate_limit",
            "brust",
        ),
        (r#"{ "rate_limit": { "burst": 9 } }"#, "rate_limit", "rate"),
        (r#"{ "retry": { "attempts": "many" } }"#, "retry", "many"),
        (r#"{ "retry": { "fixed": "soon" } }"#, "retry", "soon"),
        (
            r#"{ "circuit_breaker": { "over": 10 } }"#,
            "circuit_breaker.over",
            "duration",
        ),
        (
            r#"{ "circuit_breaker": { "slow_calls": { "rate": 1 } } }"#,
            "circuit_breaker.slow_calls",
            "threshold",
        ),
        (r#"{ "concurrency": "lots" }"#, "concurrency", "lots"),
        (r#"{ "concurrency": -4 }"#, "concurrency", "-4"),
        (r#"{ "timeout": "2 parsecs" }"#, "timeout", "parsecs"),
        (r#"{ "timeout": 2 }"#, "timeout", "duration"),
        (r#"{ "timeouts": "2s" }"#, "timeouts", "timeouts"),
    ] {
        let (found, message) = misread::<Written>(json);
        let inside = found == path || found.starts_with(&format!("{path}."));
        assert!(inside, "{json}: at {found:?}, not {path:?}: {message}");
        assert!(message.contains(about), "{json}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_wrong_with_what_was_read_is_said_at_once_with_its_path() {
    let read: Written = read(
        r#"{
            "rate_limit": { "rate": "1/s", "burst": 0, "max_keys": 0 },
            "retry": { "exponential": { "base": "0s", "cap": "1s" }, "attempts": 0, "budget": -1 },
            "circuit_breaker": { "failure_rate": 7, "open_for": "0s", "probes": 0 },
            "concurrency": { "adaptive": { "between": [0, 5], "start_at": 9, "tolerance": 0 } },
            "timeout": "0s"
        }"#,
    )
    .unwrap();
    let problems = refused(bare().policies(read).deadline(Duration::ZERO)).await;
    for path in [
        "deadline",
        "rate_limit.burst",
        "rate_limit.max_keys",
        "retry.exponential.base",
        "retry.attempts",
        "retry.budget",
        "circuit_breaker.failure_rate",
        "circuit_breaker.open_for",
        "circuit_breaker.probes",
        "concurrency.adaptive.between",
        "concurrency.adaptive.start_at",
        "concurrency.adaptive.tolerance",
        "timeout",
    ] {
        let named = format!("stage call: {path}: ");
        assert!(
            problems.iter().any(|p| p.starts_with(&named)),
            "{path}: {problems:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_problems_of_all_stages_and_of_every_part_are_said_at_once() {
    let (source, outcomes) = TestSource::of(0..10_u64);
    let second = Processor::new("second", call as fn(u64) -> Handled<u64>);
    let pipeline = Flow::from(source)
        .process(
            bare()
                .deadline(Duration::ZERO)
                .dedup(Dedup::by_key(|n: &u64| *n).max_keys(0).ttl(Duration::ZERO))
                .hedge(Hedge::after(Duration::ZERO).extra(0)),
        )
        .process(second.timeout(Duration::ZERO).concurrency(0))
        .acknowledge();
    let error = pipeline
        .start()
        .await
        .expect_err("it is not valid")
        .to_string();
    for named in [
        "stage call: deadline: ",
        "stage call: dedup.max_keys: ",
        "stage call: dedup.ttl: ",
        "stage call: hedge.after: ",
        "stage call: hedge.extra: ",
        "stage second: timeout: ",
        "stage second: concurrency",
    ] {
        assert!(error.contains(named), "{named} is not in {error}");
    }
    assert_eq!((outcomes.total(), outcomes.demands().len()), (0, 0));
}

/// What is wrong with one option, without stage and path; none where it is not the only one.
fn only(problems: &[String], path: &str) -> bool {
    problems.len() == 1 && problems[0].starts_with(&format!("stage call: {path}"))
}

const NUMBERS: [f64; 6] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    -1.0,
    -0.1,
    1e300,
];

#[tokio::test(start_paused = true)]
async fn a_rate_limit_of_nothing_of_everything_or_for_ever_is_refused() {
    let (max, year) = (Duration::MAX, SECOND * 86_400 * 400);
    for rate in [
        Rate::new(0, SECOND),
        Rate::new(5, Duration::ZERO),
        Rate::new(5, max),
        Rate::new(5, year),
        Rate::new(u32::MAX, SECOND),
        Rate::new(2, Duration::from_nanos(1)),
        Rate::new(0, Duration::ZERO),
    ] {
        let problems = refused(bare().rate_limit(RateLimit::new(rate))).await;
        assert!(
            only(&problems, "rate_limit.rate: "),
            "{rate:?}: {problems:?}"
        );
        let keyed = RateLimit::new(rate)
            .by_key(|n: &u64| *n)
            .weight(|_: &u64| 0);
        let problems = refused(bare().rate_limit(keyed)).await;
        assert!(
            only(&problems, "rate_limit.rate: "),
            "{rate:?}: {problems:?}"
        );
    }
    let limit = RateLimit::per_second(5);
    for (limit, path) in [
        (limit.clone().burst(0), "rate_limit.burst"),
        (limit.clone().leaky_bucket().burst(5), "rate_limit.burst"),
        (limit.clone().sliding_window().burst(5), "rate_limit.burst"),
        (limit.max_keys(0), "rate_limit.max_keys"),
    ] {
        let problems = refused(bare().rate_limit(limit)).await;
        assert!(only(&problems, path), "{path}: {problems:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_with_numbers_that_make_no_sense_is_refused() {
    let retry = || Retry::fixed(ms(10));
    let mut cases = vec![
        (retry().attempts(0), "retry.attempts"),
        (retry().deadline(Duration::ZERO), "retry.deadline"),
        (retry().deadline(Duration::MAX), "retry.deadline"),
        (retry().jitter(Jitter::Decorrelated), "retry.jitter"),
        (Retry::fixed(Duration::MAX), "retry.fixed"),
        (
            Retry::exponential(Duration::ZERO, SECOND),
            "retry.exponential.base",
        ),
        (
            Retry::exponential(SECOND, Duration::MAX),
            "retry.exponential.cap",
        ),
        (Retry::exponential(SECOND * 2, SECOND), "retry.exponential"),
    ];
    cases.extend(NUMBERS.map(|number| (retry().budget(number), "retry.budget")));
    for (retry, path) in cases {
        let said = format!("{retry:?}");
        let problems = refused(bare().retry(retry)).await;
        assert!(only(&problems, path), "{path} of {said}: {problems:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_with_numbers_that_make_no_sense_is_refused() {
    let breaker = || CircuitBreaker::failure_rate(0.5);
    let (never, ever) = (Duration::ZERO, Duration::MAX);
    let mut cases = vec![
        (CircuitBreaker::failure_rate(0.0), "failure_rate"),
        (breaker().over(never), "over"),
        (breaker().over(ever), "over"),
        (breaker().over_calls(0), "over_calls"),
        (breaker().min_calls(0), "min_calls"),
        (breaker().open_for(never), "open_for"),
        (breaker().open_for(ever), "open_for"),
        (breaker().probes(0), "probes"),
        (breaker().half_open_for(never), "half_open_for"),
        (breaker().slow_calls(0.5, never), "slow_calls.threshold"),
        (breaker().growing(0.5, SECOND * 60), "growing.factor"),
        (breaker().growing(2.0, SECOND), "growing.max"),
    ];
    for number in NUMBERS {
        cases.push((CircuitBreaker::failure_rate(number), "failure_rate"));
        cases.push((breaker().slow_calls(number, SECOND), "slow_calls.rate"));
    }
    for (breaker, path) in cases {
        let said = format!("{breaker:?}");
        let problems = refused(bare().circuit_breaker(breaker)).await;
        let path = format!("circuit_breaker.{path}");
        assert!(only(&problems, &path), "{path} of {said}: {problems:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_policies_with_numbers_that_make_no_sense_are_refused() {
    for time in [Duration::ZERO, Duration::MAX] {
        let problems = refused(bare().timeout(time)).await;
        assert!(only(&problems, "timeout: "), "{problems:?}");
        let problems = refused(bare().deadline(time)).await;
        assert!(only(&problems, "deadline: "), "{problems:?}");
        let problems = refused(bare().hedge(Hedge::after(time))).await;
        assert!(only(&problems, "hedge.after: "), "{problems:?}");
        let dedup = Dedup::by_key(|n: &u64| *n);
        let problems = refused(bare().dedup(dedup.clone().ttl(time))).await;
        assert!(only(&problems, "dedup.ttl: "), "{problems:?}");
        let problems = refused(bare().dedup(dedup.lease(time))).await;
        assert!(only(&problems, "dedup.lease: "), "{problems:?}");
    }
    for number in NUMBERS {
        let problems = refused(bare().hedge(Hedge::percentile(number))).await;
        assert!(
            only(&problems, "hedge.percentile: "),
            "{number}: {problems:?}"
        );
        let problems = refused(bare().hedge(Hedge::after(SECOND).budget(number))).await;
        assert!(only(&problems, "hedge.budget: "), "{number}: {problems:?}");
        for concurrency in [
            Concurrency::adaptive().tolerance(number),
            Concurrency::adaptive().decrease(number),
        ] {
            let problems = refused(bare().adaptive_concurrency(concurrency)).await;
            assert!(
                only(&problems, "concurrency.adaptive."),
                "{number}: {problems:?}"
            );
        }
    }
    for concurrency in [
        Concurrency::limit(0),
        Concurrency::adaptive().between(5, 2),
        Concurrency::adaptive().between(2, 5).start_at(9),
    ] {
        let problems = refused(bare().adaptive_concurrency(concurrency)).await;
        assert!(only(&problems, "concurrency."), "{problems:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn room_for_any_number_of_parked_messages_is_only_room() {
    let (source, outcomes) = TestSource::of(0..100_u64);
    let parked = bare()
        .retry(Retry::fixed(ms(1)))
        .max_parked(NonZeroUsize::MAX);
    let pipeline = Flow::from(source).process(parked).acknowledge();
    assert!(pipeline.explain().bound() > 1_000_000);
    check(&pipeline.run().await.unwrap());
    assert_eq!(outcomes.count("done"), 100);
}
