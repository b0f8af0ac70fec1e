//! Options: from data, and what is wrong with them.

use super::*;

fn problems(options: &CircuitBreaker) -> Vec<String> {
    let mut problems = Problems::new();
    options.problems(&mut problems);
    match problems.into_result() {
        Ok(()) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    }
}

fn read(json: &str) -> CircuitBreaker {
    serde_json::from_str(json).expect("readable")
}

#[test]
fn data_and_calls_mean_the_same() {
    let read = read(
        r#"{
            "failure_rate": 0.3,
            "over": "30s",
            "slow_calls": { "rate": 0.8, "threshold": "250ms" },
            "min_calls": 20,
            "open_for": "1s 500ms",
            "growing": { "factor": 1.5, "max": "1m" },
            "probes": 2,
            "probe_successes": 4,
            "half_open_for": "10s",
            "name": "crm",
            "when_open": "reject"
        }"#,
    );
    let written = CircuitBreaker::failure_rate(0.3)
        .over(secs(30))
        .slow_calls(0.8, ms(250))
        .min_calls(20)
        .open_for(ms(1500))
        .growing(1.5, secs(60))
        .probes(2)
        .probe_successes(4)
        .half_open_for(secs(10))
        .named("crm")
        .rejecting();
    assert_eq!(read, written);
}

#[test]
fn no_data_means_the_defaults() {
    assert_eq!(read("{}"), CircuitBreaker::default());
    assert_eq!(problems(&CircuitBreaker::default()), [""; 0]);
}

#[test]
fn a_count_window_in_data() {
    let options = CircuitBreaker::default().over_calls(50);
    assert_eq!(read(r#"{ "over_calls": 50 }"#), options);
}

#[test]
fn a_misspelled_option_is_refused() {
    let error = serde_json::from_str::<CircuitBreaker>(r#"{ "failure": 0.5 }"#).unwrap_err();
    assert!(error.to_string().contains("unknown field `failure`"));
}

#[test]
fn the_last_window_wins() {
    let options = CircuitBreaker::default().over_calls(50).over(secs(3));
    assert_eq!(options, CircuitBreaker::default().over(secs(3)));
    let options = CircuitBreaker::default().over(secs(3)).over_calls(50);
    assert_eq!(options, CircuitBreaker::default().over_calls(50));
}

#[test]
fn every_problem_is_reported_with_its_path() {
    let zero = Duration::ZERO;
    let options = CircuitBreaker::failure_rate(0.0)
        .over(zero)
        .slow_calls(1.5, zero)
        .min_calls(0)
        .open_for(zero)
        .growing(0.5, zero)
        .probes(0)
        .probe_successes(0)
        .half_open_for(zero)
        .named("");
    let paths: Vec<_> = problems(&options)
        .iter()
        .map(|problem| problem.split(": ").next().unwrap().to_owned())
        .collect();
    let expected = [
        "failure_rate",
        "over",
        "min_calls",
        "slow_calls.rate",
        "slow_calls.threshold",
        "open_for",
        "growing.factor",
        "growing.max",
        "probes",
        "probe_successes",
        "half_open_for",
        "name",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn numbers_that_are_none_are_problems() {
    for rate in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
        assert_eq!(problems(&CircuitBreaker::failure_rate(rate)).len(), 1);
        let growing = CircuitBreaker::default().growing(rate - 1.0, secs(60));
        assert_eq!(problems(&growing).len(), 1, "{rate}");
    }
}

#[test]
fn times_without_end_are_problems() {
    let max = Duration::MAX;
    let options = CircuitBreaker::default()
        .over(max)
        .slow_calls(0.5, max)
        .open_for(max)
        .growing(f64::MAX, max)
        .half_open_for(max);
    assert_eq!(problems(&options).len(), 5);
}

#[test]
fn the_longest_times_do_not_overflow_the_clock() {
    let longest = towpath_options::LONGEST;
    let options = CircuitBreaker::default()
        .over(longest)
        .min_calls(1)
        .open_for(longest)
        .growing(f64::MAX, longest)
        .half_open_for(longest);
    let mut rig = Rig::new(&options);
    rig.reach_half_open();
    rig.fail(1);
    assert_eq!(rig.wait(), longest);
}

#[test]
fn two_windows_in_data_are_a_problem() {
    let both = read(r#"{ "over": "1s", "over_calls": 50 }"#);
    assert_eq!(
        problems(&both),
        ["over_calls: cannot be combined with `over`"]
    );
}

#[test]
fn a_minimum_that_the_window_never_reaches_is_a_problem() {
    let options = CircuitBreaker::default().over_calls(50).min_calls(51);
    assert_eq!(
        problems(&options),
        ["min_calls: must be at most `over_calls`, which is 50"]
    );
}

#[test]
fn a_maximum_below_the_open_time_is_a_problem() {
    let options = CircuitBreaker::default().growing(2.0, secs(1));
    assert_eq!(
        problems(&options),
        ["growing.max: must be at least `open_for`"]
    );
}

#[test]
fn options_say_what_they_are_in_one_line() {
    let options = CircuitBreaker::default();
    assert_eq!(
        options.to_string(),
        "circuit breaker, opens at 50 % failed of 100 calls, for 5s, 3 probes, waiting"
    );
    let options = CircuitBreaker::failure_rate(0.07)
        .over_calls(100)
        .slow_calls(0.8, ms(250))
        .growing(2.0, secs(60))
        .named("crm")
        .rejecting();
    assert_eq!(
        options.to_string(),
        "circuit breaker \"crm\", opens at 7 % failed of 100 calls, or 80 % slower than 250ms, \
         for 5s to 1m, 3 probes, rejecting"
    );
}
