//! Runs the tests under the model checker, and counts what it has explored.

use std::path::Path;
use std::process::Command;

use super::outcome::Outcome;
use crate::cargo::{self, add_flags, cargo};
use crate::workspace::Workspace;

/// Integration tests of this name, or with this at its end, are run with the model checker in
/// place of the standard library's primitives.
const NAME: &str = "model";

/// Each test prints a line that starts so, and goes on with a number.
const SCHEDULES: &str = "schedules: ";

/// Controls show that the checker finds what they do wrong: they end before they are through.
const CONTROL: &str = " - should panic ... ok";

/// What one file of tests has printed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Explored {
    tests: usize,
    controls: usize,
    /// Of each test that says so.
    schedules: Vec<usize>,
}

pub(super) fn run(root: &Path) -> Outcome {
    let workspace = match Workspace::load_packages(root) {
        Ok(workspace) => workspace,
        Err(error) => return error.into(),
    };
    let files = files(&workspace);
    if files.is_empty() {
        return Outcome::Failed(format!("no package has a test file tests/{NAME}.rs"));
    }
    match cargo::run_captured(&mut command(root, &workspace.target_dir, &files)) {
        Ok((status, output)) => {
            print!("{output}");
            let passed = Outcome::from(Ok(status));
            if passed.is_failed() {
                passed
            } else {
                judge(&files, &output)
            }
        }
        Err(error) => error.into(),
    }
}

/// Package and name of each test file, in the order in which cargo runs them.
fn files(workspace: &Workspace) -> Vec<(&str, &str)> {
    let packages = workspace.packages.iter();
    let tests = packages.flat_map(|package| {
        let tests = package.tests.iter().filter(|test| is_model(test));
        tests.map(|test| (package.name.as_str(), test.as_str()))
    });
    tests.collect()
}

fn is_model(test: &str) -> bool {
    test.strip_suffix(NAME)
        .is_some_and(|start| start.is_empty() || start.ends_with('_'))
}

fn command(root: &Path, target_dir: &Path, files: &[(&str, &str)]) -> Command {
    let mut command = cargo(root, &["test", "--release"]);
    for (flag, mut names) in [
        ("-p", files.iter().map(|file| file.0).collect::<Vec<_>>()),
        ("--test", files.iter().map(|file| file.1).collect()),
    ] {
        names.sort_unstable();
        names.dedup();
        command.args(names.iter().flat_map(|name| [flag, name]));
    }
    // A directory of its own: with other flags, each run would compile everything again.
    command.arg("--target-dir").arg(target_dir.join("shuttle"));
    command.args(["--", "--show-output"]);
    add_flags(&mut command, "RUSTFLAGS", "--cfg shuttle");
    command
}

/// A file whose tests are not compiled, or that runs them some other way, proves nothing.
fn judge(files: &[(&str, &str)], output: &str) -> Outcome {
    let explored = explored(output);
    if explored.len() != files.len() {
        let (found, wanted) = (explored.len(), files.len());
        return Outcome::Failed(format!("test files that ran: {found} of {wanted}"));
    }
    if let Some(file) = explored.iter().find(|file| !file.is_complete()) {
        return Outcome::Failed(format!("not each test says what it ran: {file:?}"));
    }
    let tests: usize = explored.iter().map(|file| file.tests).sum();
    let schedules: usize = explored.iter().flat_map(|file| &file.schedules).sum();
    println!(
        "explored: {schedules} schedules of {tests} tests in {} files",
        files.len()
    );
    Outcome::Passed
}

fn explored(output: &str) -> Vec<Explored> {
    let mut files: Vec<Explored> = Vec::new();
    for line in output.lines() {
        if let Some(tests) = number_after(line, "running ") {
            files.push(Explored {
                tests,
                ..Explored::default()
            });
        } else if let Some(file) = files.last_mut().filter(|_| line.ends_with(CONTROL)) {
            file.controls += 1;
        } else if let Some((file, count)) = files.last_mut().zip(number_after(line, SCHEDULES)) {
            file.schedules.push(count);
        }
    }
    files
}

impl Explored {
    fn is_complete(&self) -> bool {
        let told = self.schedules.len() + self.controls;
        !self.schedules.is_empty() && told == self.tests && !self.schedules.contains(&0)
    }
}

fn number_after(line: &str, start: &str) -> Option<usize> {
    let rest = line.strip_prefix(start)?;
    rest.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &str); 2] = [("link", "model"), ("policy", "rate_model")];

    const GOOD: &str = "\nrunning 3 tests\ntest one ... ok\ntest two ... ok\n\
        test three - should panic ... ok\n\nsuccesses:\n\n\
        ---- one stdout ----\nseed: 1\nschedules: 40000\n\n\
        ---- two stdout ----\nschedules: 300\n\nsuccesses:\n    one\n    two\n\n\
        running 1 test\n---- four stdout ----\nschedules: 7\n";

    #[test]
    fn each_file_is_counted_by_itself() {
        let counts = [(3, 1, vec![40_000, 300]), (1, 0, vec![7])];
        let expected = counts.map(|(tests, controls, schedules)| Explored {
            tests,
            controls,
            schedules,
        });
        assert_eq!(explored(GOOD), expected);
        assert_eq!(judge(&FILES, GOOD), Outcome::Passed);
    }

    #[test]
    fn a_file_that_is_not_run_or_runs_no_test_fails_the_step() {
        assert!(judge(&FILES, "").is_failed());
        assert!(judge(&FILES[..1], GOOD).is_failed());
        let empty = GOOD.replace("running 1 test\n", "running 0 tests\n");
        assert!(judge(&FILES, &empty).is_failed());
    }

    #[test]
    fn a_test_that_explores_nothing_or_does_not_say_so_fails_the_step() {
        let silent = GOOD.replace("schedules: 300\n", "");
        assert!(judge(&FILES, &silent).is_failed());
        let idle = GOOD.replace("schedules: 300\n", "schedules: 0\n");
        assert!(judge(&FILES, &idle).is_failed());
    }

    #[test]
    fn controls_alone_prove_nothing() {
        let output = "running 1 test\ntest one - should panic ... ok\n";
        assert!(judge(&FILES[..1], output).is_failed());
    }

    #[test]
    fn files_are_found_by_the_end_of_their_name() {
        assert!(is_model("model") && is_model("rate_model"));
        assert!(!is_model("remodel") && !is_model("model_of"));
    }
}
