//! Runs the tests that start servers: what several processes share.

use std::path::Path;

use towpath_test_servers::WITHOUT;

use super::outcome::Outcome;
use super::steps;
use crate::services;
use crate::workspace::Workspace;

/// Integration tests whose name starts so need a server.
const START: &str = "shared_";

pub(super) fn run(root: &Path) -> Outcome {
    let workspace = match Workspace::load_packages(root) {
        Ok(workspace) => workspace,
        Err(error) => return error.into(),
    };
    let args = args(&workspace);
    if args.is_empty() {
        return Outcome::Failed(format!("no package has a test file tests/{START}*.rs"));
    }
    let absent = services::absent();
    if absent.len() == services::COUNT && !steps::is_ci() {
        return Outcome::NotRun("without servers".to_owned());
    }
    // All packages, so that nothing is compiled again with other features.
    let all = ["test", "--workspace", "--no-fail-fast"];
    // In CI everything must run.
    let without = if steps::is_ci() {
        String::new()
    } else {
        absent.join(",")
    };
    let command = steps::featured(root, &[&all[..], &args].concat());
    steps::run(command.map(|mut command| {
        command.env(WITHOUT, &without);
        command
    }))
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
