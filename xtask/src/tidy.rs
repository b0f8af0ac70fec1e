//! `cargo xtask tidy`: the house rules that no compiler knows.
//!
//! Each rule is a module with one pure function from the [`Workspace`] to its violations.
//! All rules run, and all violations are reported at once.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use crate::error::{Error, chain};
use crate::workspace::Workspace;

mod architecture;
mod edges;
mod form;
mod ignored;
mod licences;
mod machine_paths;
mod mentions;
mod semantics;

/// A broken rule, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    file: String,
    line: usize,
    message: String,
}

impl Violation {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

type Rule = fn(&Workspace) -> Vec<Violation>;

const RULES: [Rule; 8] = [
    edges::check,
    architecture::check,
    mentions::check,
    form::check,
    ignored::check,
    semantics::check,
    machine_paths::check,
    licences::check,
];

/// Checks the checkout, prints what is wrong, and succeeds when nothing is.
pub(crate) fn run(root: &Path) -> ExitCode {
    match violations(root) {
        Ok(violations) if violations.is_empty() => {
            println!("tidy: nothing to say");
            ExitCode::SUCCESS
        }
        Ok(violations) => {
            print(&violations);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Prints each violation on a line of its own, and their number.
pub(crate) fn print(violations: &[Violation]) {
    for violation in violations {
        println!("{violation}");
    }
    println!("tidy: violations: {}", violations.len());
}

/// All violations of all rules, in the order of files and lines.
pub(crate) fn violations(root: &Path) -> Result<Vec<Violation>, Error> {
    let workspace = Workspace::load(root)?;
    let mut found: Vec<_> = RULES.iter().flat_map(|rule| rule(&workspace)).collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_printed_with_file_and_line() {
        let violation = Violation::new("src/a.rs", 7, "too long");
        assert_eq!(violation.to_string(), "src/a.rs:7: too long");
    }
}
