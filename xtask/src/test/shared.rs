//! Runs the tests that start servers: what several processes share.

use std::path::Path;

use towpath_test_servers::WITHOUT;

use super::outcome::Outcome;
use super::steps;
use crate::services;
use crate::workspace::Workspace;

/// Integration tests whose name starts so need a server.
const START: &str = "shared_";

/// Every server, in the words of [`WITHOUT`].
const ALL: &str = "1";

pub(super) fn run(root: &Path) -> Outcome {
    let workspace = match Workspace::load_packages(root) {
        Ok(workspace) => workspace,
        Err(error) => return error.into(),
    };
    let args = args(&workspace);
    if args.is_empty() {
        return Outcome::Failed(format!("no package has a test file tests/{START}*.rs"));
    }
    let without = without(&services::absent());
    if without == ALL && !steps::is_ci() {
        return Outcome::NotRun("without servers".to_owned());
    }
    // All packages, so that nothing is compiled again with other features.
    let all = ["test", "--workspace", "--no-fail-fast"];
    let command = steps::featured(root, &[&all[..], &args].concat());
    steps::run(command.map(|mut command| {
        // In CI everything must run.
        command.env(WITHOUT, if steps::is_ci() { "" } else { &without });
        command
    }))
}

/// What the tests have to do without, in the words of their variable.
fn without(absent: &[&str]) -> String {
    // The tests of Redis know no names.
    if absent.contains(&services::REDIS) {
        ALL.to_owned()
    } else {
        absent.join(",")
    }
}

fn args(workspace: &Workspace) -> Vec<&str> {
    let tests = workspace.packages.iter().flat_map(|package| &package.tests);
    let shared = tests.filter(|test| test.starts_with(START));
    shared.flat_map(|test| ["--test", test]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Package;

    #[test]
    fn what_is_not_there_is_named_to_the_tests() {
        assert_eq!(without(&[]), "");
        assert_eq!(without(&["jaeger", "otlp"]), "jaeger,otlp");
        assert_eq!(without(&["redis", "jaeger"]), "1");
    }

    #[test]
    fn the_tests_that_need_a_server_are_found_by_their_names() {
        let mut workspace = Workspace::default();
        assert_eq!(args(&workspace), [""; 0]);
        workspace.packages.push(Package {
            tests: vec!["shared_rate".to_owned(), "nested".to_owned()],
            ..Package::default()
        });
        assert_eq!(args(&workspace), ["--test", "shared_rate"]);
    }
}
