//! The example `fleet` without any server: what it says, and how it ends.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests; the lint knows only the functions marked as such"
)]

#[path = "fleet/executable.rs"]
mod executable;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use executable::executable;
use tempfile::TempDir;

/// Nobody listens there.
const NATS: [&str; 4] = [
    "--source",
    "nats",
    "--address",
    "nats://me:hush@127.0.0.1:1",
];
const KAFKA: [&str; 4] = ["--source", "kafka", "--address", "127.0.0.1:1"];

/// With these arguments: its status, and what it said on standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(executable());
    let output = command.args(arguments).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn what_is_missing_on_the_command_line_is_named() {
    let (status, said) = run(&["work", "--source", "nats"]);
    assert_eq!(status, Some(2));
    for missing in ["--address", "--member"] {
        assert!(said.contains(missing), "{said}");
    }
    let (status, said) = run(&["fill", "--source", "mars", "--address", "x"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("nats, kafka"), "{said}");
}

#[test]
fn a_server_that_is_not_there_cannot_be_filled() {
    for place in [NATS, KAFKA] {
        let (status, said) = run(&[&["fill"], &place[..]].concat());
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("at --address answers"), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[test]
fn an_option_that_makes_no_sense_is_told_before_anything_runs() {
    let (status, said) = run(&[&["work", "--member", "a", "--lease", "0"], &NATS[..]].concat());
    assert_eq!(status, Some(1));
    assert!(said.contains("ack_wait: must be"), "{said}");
    let (status, said) = run(&["show", "--book", "not/there.db"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("the book not/there.db"), "{said}");
}

/// It tries to reach its server, says so without the password, and ends well when interrupted.
#[test]
fn ctrl_c_ends_a_member_that_waits_for_its_server() {
    for place in [NATS, KAFKA] {
        let folder = TempDir::new().unwrap();
        let mut member = Command::new(executable())
            .args(["work", "--member", "a"])
            .args(place)
            .current_dir(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(member.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(
            line.starts_with("tasks: ") && line.contains("127.0.0.1:1"),
            "{line}"
        );
        assert!(!line.contains("hush"), "{line}");
        let id = member.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(sent.success());
        // Whoever reads no more must not hold it up.
        drop(said);
        assert!(member.wait().unwrap().success());
    }
}
