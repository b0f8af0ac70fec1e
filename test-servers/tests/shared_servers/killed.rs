//! What becomes of the servers of a test that is killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use towpath_test_servers::{Nats, NotHere, Postgres, or_not_run};

use crate::is_there;

/// Set where this program is to start servers and to wait until it is killed.
const VARIABLE: &str = "TOWPATH_TO_BE_KILLED";
const NAME: &str = "killed::they_are_gone_when_the_test_is_killed_also_while_they_are_frozen";

fn start() -> Result<(Nats, Postgres), NotHere> {
    Ok((Nats::start()?, Postgres::start()?))
}

fn wait_to_be_killed() {
    let (nats, mut postgres) = start().unwrap();
    postgres.kill();
    postgres.restart().unwrap();
    postgres.freeze();
    println!("\nserver {} {}", nats.address(), nats.log_path().display());
    println!(
        "server {} {}",
        postgres.address(),
        postgres.log_path().display()
    );
    loop {
        thread::park();
    }
}

/// This program once more; and where its servers are, with a file of theirs.
fn run() -> (Child, Vec<(SocketAddr, PathBuf)>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(VARIABLE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let servers = lines.map_while(Result::ok).filter_map(|line| {
        let (address, file) = line.strip_prefix("server ")?.split_once(' ')?;
        Some((address.parse().unwrap(), file.into()))
    });
    let servers = servers.take(2).collect();
    (child, servers)
}

#[test]
fn they_are_gone_when_the_test_is_killed_also_while_they_are_frozen() {
    if env::var_os(VARIABLE).is_some() {
        wait_to_be_killed();
    }
    if or_not_run(start()).is_none() {
        return;
    }
    let (mut child, servers) = run();
    assert_eq!(servers.len(), 2);
    assert!(
        servers
            .iter()
            .all(|(address, log)| is_there(*address) && log.exists())
    );
    child.kill().unwrap();
    child.wait().unwrap();
    while servers
        .iter()
        .any(|(address, log)| is_there(*address) || log.exists())
    {
        thread::yield_now();
    }
}
