//! Rule: no test and no example in the documentation is switched off.

use super::Violation;
use crate::workspace::{TextFile, Workspace};

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let files = workspace.files.iter();
    files
        .filter(|file| file.has_extension("rs") || file.has_extension("md"))
        .flat_map(check_file)
        .collect()
}

fn check_file(file: &TextFile) -> Vec<Violation> {
    let is_source = file.has_extension("rs");
    let reasons = file.lines().filter_map(|(number, line)| {
        let message = if is_source {
            in_source(line)
        } else {
            in_markdown(line)
        };
        Some(Violation::new(&file.path, number, message?))
    });
    reasons.collect()
}

fn in_source(line: &str) -> Option<&'static str> {
    let line = line.trim_start();
    let doc = line
        .strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"));
    match doc {
        Some(doc) => in_markdown(doc),
        None => is_ignored_test(line).then_some("a test is ignored: make it pass, or remove it"),
    }
}

fn is_ignored_test(line: &str) -> bool {
    let word = line.strip_prefix("#[ignore");
    let is_plain = word.is_some_and(|rest| rest.starts_with([']', ' ', '=', '(']));
    is_plain || (line.starts_with("#[cfg_attr(") && line.contains(", ignore"))
}

fn in_markdown(line: &str) -> Option<&'static str> {
    let info = line.trim_start().strip_prefix("```")?;
    let mut words = info.split([',', ' ']);
    let is_ignored = words.any(|word| word == "ignore" || word.starts_with("ignore-"));
    is_ignored.then_some("an example is ignored: let it compile, or mark it `text`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let found = check(&Workspace::of_files(&[(path, text)]));
        found.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn an_ignored_test_is_reported() {
        assert_eq!(
            lines("a.rs", "#[test]\n#[ignore]\n#[ignore = \"slow\"]\n"),
            [2, 3]
        );
        assert_eq!(lines("a.rs", "#[cfg_attr(windows, ignore)]\n"), [1]);
        assert_eq!(lines("a.rs", "#[ignored_by_us]\n// #[ignore]\n"), [0; 0]);
    }

    #[test]
    fn an_ignored_example_is_reported_in_documentation_and_in_documents() {
        assert_eq!(
            lines("a.rs", "/// ```ignore\n//! ```rust,ignore\n/// ```no_run\n"),
            [1, 2]
        );
        assert_eq!(lines("README.md", "```rust,ignore\n```\n```text\n"), [1]);
    }
}
