//! The steps of `cargo xtask test`, in their order.

use std::path::Path;
use std::process::Command;

use towpath_test_servers::WITHOUT;

use super::outcome::Outcome;
use super::{flights, model, shared};
use crate::cargo::{self, add_flags, cargo};
use crate::error::Error;
use crate::workspace::Workspace;
use crate::{bench, services, tidy};

/// One step: all of them are listed in [`STEPS`].
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Steps without which this one would say nothing new.
    pub(super) needs: &'static [&'static str],
    pub(super) run: fn(&Path) -> Outcome,
}

pub(super) const STEPS: [Step; 12] = [
    Step {
        name: "services",
        about: "the servers are there that some tests start",
        needs: &[],
        run: services,
    },
    Step {
        name: "format",
        about: "sources are formatted",
        needs: &[],
        run: format,
    },
    Step {
        name: "tidy",
        about: "the house rules hold",
        needs: &[],
        run: tidy,
    },
    Step {
        name: "lints",
        about: "no compiler or clippy warning",
        needs: &[],
        run: lints,
    },
    Step {
        name: "build",
        about: "tests and examples compile",
        needs: &[],
        run: build,
    },
    Step {
        name: "tests",
        about: "unit and integration tests",
        needs: &["build"],
        run: tests,
    },
    Step {
        name: "shared",
        about: "the tests that start a server",
        needs: &["build"],
        run: shared::run,
    },
    Step {
        name: "doctests",
        about: "examples in the docs",
        needs: &["build"],
        run: doctests,
    },
    Step {
        name: "docs",
        about: "the documentation builds",
        needs: &["build"],
        run: docs,
    },
    Step {
        name: "model",
        about: "what tasks share, under a model checker",
        needs: &["build"],
        run: model::run,
    },
    Step {
        name: "flights",
        about: "the example, end to end",
        needs: &["build"],
        run: flights::run,
    },
    Step {
        name: "gate",
        about: "costs per message",
        needs: &["tests", "flights"],
        run: gate,
    },
];

/// Benches are left out: they are compiled by the lints, and run by the gate.
const TEST_TARGETS: [&str; 5] = ["test", "--workspace", "--lib", "--bins", "--tests"];

/// Built as programs, which their tests run: `cargo test --examples` would build them as tests.
const EXAMPLES: [&str; 3] = ["build", "--workspace", "--examples"];

const CLIPPY: [&str; 3] = ["clippy", "--workspace", "--all-targets"];

fn format(root: &Path) -> Outcome {
    let missing = missing_component(root, "fmt", "rustfmt");
    missing.unwrap_or_else(|| cargo::run(&mut cargo(root, &["fmt", "--all", "--check"])).into())
}

fn services(root: &Path) -> Outcome {
    let absent = services::provide(root);
    if absent.is_empty() {
        return Outcome::Passed;
    }
    let reasons = absent.iter().map(ToString::to_string);
    Outcome::missing(&reasons.collect::<Vec<_>>().join("; "), is_ci())
}

/// As most users build it, and with everything.
fn lints(root: &Path) -> Outcome {
    let missing = missing_component(root, "clippy", "clippy");
    missing.unwrap_or_else(|| {
        let plain = deny_warnings(Ok(cargo(root, &CLIPPY)));
        if plain.is_failed() {
            plain
        } else {
            deny_warnings(featured(root, &CLIPPY))
        }
    })
}

fn deny_warnings(command: Result<Command, Error>) -> Outcome {
    run(command.map(|mut command| {
        command.args(["--", "-D", "warnings"]);
        command
    }))
}

fn missing_component(root: &Path, subcommand: &str, name: &str) -> Option<Outcome> {
    let is_there = cargo::works(&mut cargo(root, &[subcommand, "--version"]));
    let help = format!("{name} is not installed: rustup component add {name}");
    (!is_there).then(|| Outcome::missing(&help, is_ci()))
}

/// A cargo command for the workspace, with all features of what is tested.
pub(super) fn featured(root: &Path, args: &[&str]) -> Result<Command, Error> {
    let mut features = Workspace::load_packages(root)?.tested_features();
    if !is_ci() && !has_openssl() {
        println!("without OpenSSL and its headers: not built are {OF_OPENSSL:?}");
        features.retain(|feature| !OF_OPENSSL.contains(&feature.as_str()));
    }
    let mut command = cargo(root, args);
    command.args(["--features", &features.join(",")]);
    Ok(command)
}

/// Features that need the OpenSSL of the machine.
const OF_OPENSSL: [&str; 2] = ["towpath/kafka-tls", "towpath-kafka/tls"];

fn has_openssl() -> bool {
    cargo::works(Command::new("pkg-config").args(["--exists", "openssl"]))
}

pub(super) fn run(command: Result<Command, Error>) -> Outcome {
    command
        .and_then(|mut command| cargo::run(&mut command))
        .into()
}

pub(super) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

fn tidy(root: &Path) -> Outcome {
    match tidy::violations(root) {
        Ok(violations) if violations.is_empty() => Outcome::Passed,
        Ok(violations) => {
            tidy::print(&violations);
            Outcome::Failed(format!("violations: {}", violations.len()))
        }
        Err(error) => error.into(),
    }
}

fn build(root: &Path) -> Outcome {
    let examples = run(featured(root, &EXAMPLES));
    if examples.is_failed() {
        return examples;
    }
    run(featured(root, &[&TEST_TARGETS[..], &["--no-run"]].concat()))
}

/// Without servers: the tests that start one have a step of their own.
fn tests(root: &Path) -> Outcome {
    let command = featured(root, &[&TEST_TARGETS[..], &["--no-fail-fast"]].concat());
    run(command.map(|mut command| {
        command.env(WITHOUT, "1");
        command
    }))
}

fn doctests(root: &Path) -> Outcome {
    run(featured(
        root,
        &["test", "--workspace", "--doc", "--no-fail-fast"],
    ))
}

fn docs(root: &Path) -> Outcome {
    run(
        featured(root, &["doc", "--workspace", "--no-deps"]).map(|mut command| {
            add_flags(&mut command, "RUSTDOCFLAGS", "-D warnings");
            command
        }),
    )
}

fn gate(root: &Path) -> Outcome {
    if !cargo::works(Command::new("valgrind").arg("--version")) {
        return Outcome::NotRun("valgrind is not installed".to_owned());
    }
    cargo::run(&mut bench::command(root, &["--gate"])).into()
}
