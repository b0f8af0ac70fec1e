//! The example `policies` as a user meets it: a program with arguments, events and a report.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; the lint knows only the functions marked as such"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// How the program ended.
struct Run {
    status: i32,
    stdout: String,
    stderr: String,
}

/// It is stopped whatever becomes of the test.
struct Program(Child);

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let child = Command::new(executable())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Reads what it says until a line holds these words.
    fn wait_for(&mut self, words: &str) -> String {
        let mut said = String::new();
        // Not more than asked for: the rest is read at the end.
        let mut lines = BufReader::with_capacity(1, self.0.stderr.as_mut().unwrap());
        while !said.contains(words) {
            assert_ne!(
                lines.read_line(&mut said).unwrap(),
                0,
                "never: {words}\n{said}"
            );
        }
        said
    }

    fn finish(mut self) -> Run {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let (out, err) = (self.0.stdout.take(), self.0.stderr.take());
        // Both are short: neither fills its pipe.
        out.unwrap().read_to_string(&mut stdout).unwrap();
        err.unwrap().read_to_string(&mut stderr).unwrap();
        let status = self.0.wait().unwrap().code().expect("it ends by itself");
        Run {
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Run {
    #[track_caller]
    fn report(&self) -> Value {
        let report = serde_json::from_str(&self.stdout);
        report.unwrap_or_else(|error| panic!("{error}: {:?} {}", self.stdout, self.stderr))
    }
}

#[track_caller]
fn count(report: &Value, name: &str) -> u64 {
    report[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} in {report}"))
}

#[track_caller]
fn policy<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut policies = report["policies"].as_array().unwrap().iter();
    policies.find(|policy| policy["policy"] == name).unwrap()
}

/// Every order that was taken has one fate, and none was answered twice or for nothing.
#[track_caller]
fn none_is_lost(report: &Value) {
    let fates = ["delivered", "refused", "given_up", "given_back"];
    let settled: u64 = fates.iter().map(|fate| count(report, fate)).sum();
    assert_eq!(settled, count(report, "taken"), "{report}");
    assert_eq!(
        count(report, "answered"),
        count(report, "delivered"),
        "{report}"
    );
}

/// Cargo builds examples beside the tests, but tells the tests no path to them.
fn executable() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let name = format!("policies{}", std::env::consts::EXE_SUFFIX);
    let path = target.join("examples").join(name);
    let build = "build it first: cargo build --example policies";
    assert!(path.exists(), "{build}");
    path
}

const USUAL: [&str; 6] = ["--report", "json", "--seed", "11", "--messages", "800"];

#[test]
fn over_outages_no_order_is_lost_and_the_breaker_opens_and_closes() {
    let flapping = ["--rate", "400/s", "--up", "300", "--down", "300"];
    let then = ["--then", "2000/s", "--after", "700"];
    let run = Program::start(&[&USUAL[..], &flapping, &then].concat()).finish();
    let report = run.report();
    none_is_lost(&report);
    assert_eq!(
        (run.status, count(&report, "taken")),
        (0, 800),
        "{}",
        run.stderr
    );
    assert_eq!(count(&report, "given_back"), 0);
    assert!(policy(&report, "circuit_breaker")["opened"].as_u64() > Some(0));
    assert_eq!(policy(&report, "rate_limit")["calls"], 2000);
    for event in [
        "breaker Closed -> Open",
        "-> Closed",
        "rate changed to 2000/s",
    ] {
        assert!(run.stderr.contains(event), "no `{event}` in {}", run.stderr);
    }
    // Which orders are refused is decided by the seed and not by the outages.
    let calm = ["--rate", "5000/s", "--down", "0"];
    let calm = Program::start(&[&USUAL[..], &calm].concat())
        .finish()
        .report();
    none_is_lost(&calm);
    let refused = count(&report, "refused");
    let refusals = count(&calm, "refused");
    assert!((refused..=refused + count(&report, "given_up")).contains(&refusals));
    assert_eq!(count(&calm, "calls_while_down"), 0);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_drains_and_says_what_was_given_back() {
    let endless = ["--report", "json", "--messages", "1000000"];
    let mut program = Program::start(&[&endless[..], &["--up", "200"]].concat());
    program.wait_for("breaker Closed -> Open");
    let id = program.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let run = program.finish();
    let report = run.report();
    none_is_lost(&report);
    assert!(count(&report, "taken") < 1_000_000, "{report}");
    assert!(run.stderr.contains("draining"), "{}", run.stderr);
    let left = count(&report, "given_back") > 0;
    assert_eq!(run.status, i32::from(left), "{report}");
}

#[test]
fn arguments_that_make_no_sense_are_refused_by_name() {
    for (option, value) in [
        ("--rate", "fast"),
        ("--rate", "0/s"),
        ("--then", "5 per moon"),
        ("--messages", "-1"),
        ("--messages", "1000001"),
        ("--down", "soon"),
        ("--report", "xml"),
    ] {
        let run = Program::start(&[&format!("{option}={value}")]).finish();
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{}", run.stderr);
        for word in ["error: invalid value", option, value] {
            assert!(run.stderr.contains(word), "no `{word}` in {}", run.stderr);
        }
    }
}

#[test]
fn the_table_for_people_has_a_line_for_each_count() {
    let run = Program::start(&["--messages", "50", "--down", "0"]).finish();
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stdout.starts_with("taken                     50"),
        "{}",
        run.stdout
    );
    for name in [
        "delivered",
        "refused",
        "given up",
        "calls",
        "elapsed",
        "CircuitBreaker",
    ] {
        assert!(
            run.stdout.lines().any(|line| line.starts_with(name)),
            "{}",
            run.stdout
        );
    }
}
