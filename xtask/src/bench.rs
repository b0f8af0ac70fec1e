//! `cargo xtask bench`: hands its flags to the benches' own programs.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::cargo;
use crate::error::chain;

const GATE: &str = "--gate";
const JSON: &str = "--json";
/// Another program: the connectors and their servers.
const CONNECTORS: &str = "--connectors";

const RUN: [&str; 4] = ["run", "--release", "-p", "towpath-benches"];

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

/// Whether these can be given together.
pub(crate) fn takes(flags: &[&str]) -> bool {
    let known = |flag: &&str| [GATE, JSON, CONNECTORS].contains(flag);
    let clash = flags.contains(&GATE) && flags.contains(&CONNECTORS);
    flags.iter().all(known) && !clash
}

/// The command that runs the measurements with `flags`.
pub(crate) fn command(root: &Path, flags: &[&str]) -> Command {
    let mut command = cargo::cargo(root, &RUN);
    command.args(program(flags)).arg("--");
    command.args(flags.iter().filter(|flag| **flag != CONNECTORS));
    command
}

/// The program and its features: the gate needs no peers but those written by hand.
fn program(flags: &[&str]) -> &'static [&'static str] {
    if flags.contains(&CONNECTORS) {
        &["--bin", "connectors", "--features", "connectors"]
    } else if flags.contains(&GATE) {
        &["--bin", "bench"]
    } else {
        &["--bin", "bench", "--features", "peers"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(flags: &[&str]) -> String {
        let command = command(Path::new("."), flags);
        let words = command.get_args().map(|word| word.to_string_lossy());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_connectors_are_a_program_of_their_own() {
        assert!(
            words(&["--connectors", "--json"])
                .ends_with("towpath-benches --bin connectors --features connectors -- --json")
        );
        assert!(words(&["--json"]).ends_with("--bin bench --features peers -- --json"));
    }

    #[test]
    fn the_gate_builds_nobody_elses_program() {
        assert!(words(&["--gate"]).ends_with("towpath-benches --bin bench -- --gate"));
    }

    #[test]
    fn flags_that_say_nothing_together_are_refused() {
        assert!(takes(&[]) && takes(&["--connectors", "--json"]) && takes(&["--gate"]));
        assert!(!takes(&["--gate", "--connectors"]));
        assert!(!takes(&["--fast"]));
    }
}
