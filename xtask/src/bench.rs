//! `cargo xtask bench`: hands its flags to the benches' own program.

use std::path::Path;
use std::process::ExitCode;

use crate::cargo;
use crate::error::chain;

/// The flags that are handed on.
pub(crate) const FLAGS: [&str; 2] = ["--gate", "--json"];

const PROGRAM: [&str; 6] = [
    "run",
    "--release",
    "-p",
    "towpath-benches",
    "--bin",
    "bench",
];

/// The peers beyond those written by hand, which the gate does not need.
const PEERS: [&str; 2] = ["--features", "peers"];

/// Runs the measurements; succeeds when they do.
pub(crate) fn run(root: &Path, flags: &[&str]) -> ExitCode {
    match cargo::run(&mut command(root, flags)) {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// The command that runs the measurements with `flags`.
pub(crate) fn command(root: &Path, flags: &[&str]) -> std::process::Command {
    let mut command = cargo::cargo(root, &PROGRAM);
    if !flags.contains(&"--gate") {
        command.args(PEERS);
    }
    command.arg("--").args(flags);
    command
}
