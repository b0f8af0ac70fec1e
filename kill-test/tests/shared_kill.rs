//! The kill test, short: over twenty kills of each route nothing is lost, and a loss would be seen.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; the lint knows only the functions marked as such"
)]

use std::process::{Command, Stdio};

use serde_json::Value;
use towpath_test_servers::is_unwanted;

const KILLS: u64 = 20;

/// How a run ended: its status, and its line of JSON.
struct Run {
    status: Option<i32>,
    line: Value,
}

fn run(arguments: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_kill-test"))
        .args(["run", "--kills", &KILLS.to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    // Shown where the test fails.
    print!("{line}");
    Run {
        status: output.status.code(),
        line: serde_json::from_str(&line).unwrap(),
    }
}

// === impl Run ===

impl Run {
    fn number(&self, name: &str) -> u64 {
        self.line[name].as_u64().unwrap()
    }

    /// All arrived, whatever was killed.
    #[track_caller]
    fn expect_no_loss(&self) {
        let what = self.line.to_string();
        assert_eq!((self.status, self.number("lost")), (Some(0), 0), "{what}");
        assert_eq!(self.number("delivered"), self.number("produced"), "{what}");
        assert_eq!(self.number("kills"), KILLS, "{what}");
        assert!(self.number("kills_in_flight") >= KILLS / 2, "{what}");
    }

    /// Some messages were worked on twice, and it does not show.
    #[track_caller]
    fn expect_no_duplicates(&self) {
        let what = self.line.to_string();
        assert_eq!(self.number("duplicates"), 0, "{what}");
        assert!(self.number("redelivered") > 0, "{what}");
    }

    /// It shows, but not more often than the kills explain.
    #[track_caller]
    fn expect_few_duplicates(&self) {
        let what = self.line.to_string();
        let duplicates = self.number("duplicates");
        assert!(
            (1..=self.number("in_flight")).contains(&duplicates),
            "{what}"
        );
    }

    /// Source and store were both killed, more than once.
    #[track_caller]
    fn expect_server_kills(&self) {
        assert!(self.number("server_kills") >= 4, "{}", self.line);
    }
}

fn is_to_run(servers: &[&str]) -> bool {
    let unwanted = servers.iter().find(|server| is_unwanted(server));
    if let Some(server) = unwanted {
        eprintln!("not run: without {server}");
    }
    unwanted.is_none()
}

#[test]
fn from_a_sqlite_queue_to_sqlite_every_number_arrives_once() {
    for arguments in [
        ["--sink", "once", "--seed", "1"],
        ["--sink", "upsert", "--seed", "2"],
    ] {
        let run = run(&[&["--route", "sqlite"], &arguments[..]].concat());
        run.expect_no_loss();
        run.expect_no_duplicates();
    }
}

#[test]
fn plain_inserts_of_sqlite_show_what_was_in_flight_at_the_kills_and_no_more() {
    let run = run(&["--route", "sqlite", "--sink", "insert", "--seed", "3"]);
    run.expect_no_loss();
    run.expect_few_duplicates();
}

#[test]
fn from_jetstream_to_postgresql_every_number_arrives_once() {
    if is_to_run(&["nats", "postgres"]) {
        arrives_once("nats", "4");
    }
}

#[test]
fn from_kafka_to_postgresql_every_number_arrives_once() {
    if is_to_run(&["kafka", "postgres"]) {
        arrives_once("kafka", "5");
    }
}

#[test]
fn from_a_queue_of_postgresql_to_postgresql_every_number_arrives_once() {
    if is_to_run(&["postgres"]) {
        arrives_once("postgres", "6");
    }
}

#[test]
fn copies_from_jetstream_show_what_was_in_flight_at_the_kills_and_no_more() {
    if is_to_run(&["nats", "postgres"]) {
        arrives_with_few_duplicates("nats", "7");
    }
}

#[test]
fn copies_from_kafka_show_what_was_in_flight_at_the_kills_and_no_more() {
    if is_to_run(&["kafka", "postgres"]) {
        arrives_with_few_duplicates("kafka", "8");
    }
}

/// Into the sink that notes what it has written, in the same transaction.
#[track_caller]
fn arrives_once(route: &str, seed: &str) {
    let run = run(&["--route", route, "--sink", "once", "--seed", seed]);
    run.expect_no_loss();
    run.expect_server_kills();
    run.expect_no_duplicates();
}

/// Into a sink that writes whatever comes.
#[track_caller]
fn arrives_with_few_duplicates(route: &str, seed: &str) {
    let run = run(&["--route", route, "--sink", "insert", "--seed", seed]);
    run.expect_no_loss();
    run.expect_server_kills();
    run.expect_few_duplicates();
}

#[test]
fn a_pipeline_that_acknowledges_before_it_writes_is_found_out() {
    let run = run(&["--route", "sqlite", "--seed", "9", "--acknowledge-early"]);
    assert_eq!(run.status, Some(1), "{}", run.line);
    assert!(run.number("lost") > 0, "{}", run.line);
}
