//! The steps of `cargo xtask test`, in their order.

use std::path::Path;
use std::process::Command;

use super::flights;
use super::outcome::Outcome;
use crate::cargo::{self, add_flags, cargo};
use crate::workspace::Workspace;
use crate::{bench, tidy};

/// One step: all of them are listed in [`STEPS`].
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// Steps without which this one would say nothing new.
    pub(super) needs: &'static [&'static str],
    pub(super) run: fn(&Path) -> Outcome,
}

pub(super) const STEPS: [Step; 10] = [
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
        about: "links, lines and permits under a model checker",
        needs: &["build"],
        run: model,
    },
    Step {
        name: "flights",
        about: "the example, end to end",
        needs: &["build"],
        run: flights,
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

/// The integration tests of this name are run again, with the model checker in place of the
/// standard library's primitives.
const MODEL_TEST: &str = "model";

fn format(root: &Path) -> Outcome {
    let add = "rustfmt is not installed: rustup component add rustfmt";
    component(root, "fmt", add, &["--all", "--check"])
}

fn lints(root: &Path) -> Outcome {
    let add = "clippy is not installed: rustup component add clippy";
    component(
        root,
        "clippy",
        add,
        &["--workspace", "--all-targets", "--", "-D", "warnings"],
    )
}

fn component(root: &Path, subcommand: &str, add: &str, args: &[&str]) -> Outcome {
    if !cargo::works(&mut cargo(root, &[subcommand, "--version"])) {
        return Outcome::missing(add, is_ci());
    }
    cargo::run(cargo(root, &[subcommand]).args(args)).into()
}

fn is_ci() -> bool {
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
    match cargo::run(&mut cargo(root, &EXAMPLES)) {
        Ok(status) if status.success() => {
            cargo::run(cargo(root, &TEST_TARGETS).arg("--no-run")).into()
        }
        failed => failed.into(),
    }
}

fn tests(root: &Path) -> Outcome {
    cargo::run(cargo(root, &TEST_TARGETS).arg("--no-fail-fast")).into()
}

fn doctests(root: &Path) -> Outcome {
    cargo::run(&mut cargo(
        root,
        &["test", "--workspace", "--doc", "--no-fail-fast"],
    ))
    .into()
}

fn docs(root: &Path) -> Outcome {
    let mut command = cargo(root, &["doc", "--workspace", "--no-deps"]);
    add_flags(&mut command, "RUSTDOCFLAGS", "-D warnings");
    cargo::run(&mut command).into()
}

fn model(root: &Path) -> Outcome {
    let workspace = match Workspace::load_packages(root) {
        Ok(workspace) => workspace,
        Err(error) => return error.into(),
    };
    let packages = workspace.packages.iter();
    let modelled = packages.filter(|package| package.tests.iter().any(|test| test == MODEL_TEST));
    let names: Vec<_> = modelled
        .flat_map(|package| ["-p", package.name.as_str()])
        .collect();
    if names.is_empty() {
        return Outcome::NotRun("no package has a test file tests/model.rs yet".to_owned());
    }
    cargo::run(&mut model_command(root, &workspace.target_dir, &names)).into()
}

fn model_command(root: &Path, target_dir: &Path, packages: &[&str]) -> Command {
    let mut command = cargo(root, &["test", "--release", "--test", MODEL_TEST]);
    command.args(packages);
    // A directory of its own: with other flags, each run would compile everything again.
    command.arg("--target-dir").arg(target_dir.join("shuttle"));
    add_flags(&mut command, "RUSTFLAGS", "--cfg shuttle");
    command
}

fn flights(root: &Path) -> Outcome {
    flights::run(root)
}

fn gate(root: &Path) -> Outcome {
    if !cargo::works(Command::new("valgrind").arg("--version")) {
        return Outcome::NotRun("valgrind is not installed".to_owned());
    }
    cargo::run(&mut bench::command(root, &["--gate"])).into()
}
