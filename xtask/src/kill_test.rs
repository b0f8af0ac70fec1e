//! `cargo xtask kill-test`: hands its flags to the program that kills and counts.

use std::path::Path;
use std::process::ExitCode;

use crate::cargo;
use crate::error::{Error, chain};

const PROGRAM: [&str; 8] = [
    "run",
    "--quiet",
    "-p",
    "towpath-kill-test",
    "--bin",
    "kill-test",
    "--",
    "run",
];

/// Runs it with these flags; it fails where something was lost, or came too often.
pub(crate) fn run(root: &Path, flags: &[&str]) -> ExitCode {
    match run_program(root, flags) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// What the program ends with says more than that it failed: 1 for a loss, 2 for no run at all.
fn run_program(root: &Path, flags: &[&str]) -> Result<ExitCode, Error> {
    let status = cargo::run(cargo::cargo(root, &PROGRAM).args(flags))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
