//! Rule: each source file says what it is on its first line, and is not too long.

use super::Violation;
use crate::workspace::{TextFile, Workspace};

/// Lines of code, without documentation, comments, blank lines and inline tests.
const MOST_CODE_LINES: usize = 500;

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace.sources().flat_map(check_file).collect()
}

fn check_file(file: &TextFile) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut report = |message: String| found.push(Violation::new(&file.path, 1, message));
    if !file.text.starts_with("//!") {
        report("the first line is no `//!`".to_owned());
    }
    if file.name() == "mod.rs" {
        report("a module has its name: move `x/mod.rs` to `x.rs`".to_owned());
    }
    let lines = code_lines(&file.text);
    if lines > MOST_CODE_LINES {
        report(format!(
            "{lines} lines of code, at most {MOST_CODE_LINES}: split the file"
        ));
    }
    found
}

fn code_lines(text: &str) -> usize {
    let mut lines = text.lines();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("#[cfg(test)]") || trimmed.starts_with("#[cfg(all(test") {
            skip_item(&mut lines);
        } else if trimmed.starts_with("/*") {
            skip_comment(line, &mut lines);
        } else if !trimmed.is_empty() && !trimmed.starts_with("//") {
            count += 1;
        }
    }
    count
}

/// Skips the item below an attribute, down to the brace that stands where the item began.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>) {
    let Some(first) = lines.find(|line| !line.trim_start().starts_with("#[")) else {
        return;
    };
    if first.ends_with(';') || first.ends_with('}') {
        return;
    }
    let indent = &first[..first.len() - first.trim_start().len()];
    let is_end = |line: &str| {
        line.strip_prefix(indent)
            .is_some_and(|rest| rest.starts_with('}'))
    };
    lines.find(|line| is_end(line));
}

fn skip_comment<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) {
    if !first.contains("*/") {
        lines.find(|line| line.contains("*/"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let found = check(&Workspace::of_files(&[(path, text)]));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_without_a_first_line_of_documentation_is_reported() {
        assert_eq!(
            messages("src/a.rs", "use std::fmt;\n"),
            ["src/a.rs:1: the first line is no `//!`"]
        );
        assert_eq!(messages("src/a.rs", "//! What it is.\n"), [""; 0]);
    }

    #[test]
    fn a_module_file_without_a_name_is_reported() {
        let found = messages("src/a/mod.rs", "//! What it is.\n");
        assert_eq!(
            found,
            ["src/a/mod.rs:1: a module has its name: move `x/mod.rs` to `x.rs`"]
        );
    }

    #[test]
    fn a_file_may_be_as_long_as_the_limit_and_no_longer() {
        let of = |lines: usize| format!("//! What it is.\n{}", "f();\n".repeat(lines));
        assert_eq!(messages("src/a.rs", &of(MOST_CODE_LINES)), [""; 0]);
        assert_eq!(
            messages("src/a.rs", &of(MOST_CODE_LINES + 1)),
            ["src/a.rs:1: 501 lines of code, at most 500: split the file"]
        );
    }

    #[test]
    fn documentation_comments_and_blank_lines_are_no_code() {
        assert_eq!(
            code_lines("//! A.\n\n/// B.\n// C.\n/* D\n   E */\nfn f() {}\n"),
            1
        );
    }

    #[test]
    fn inline_tests_are_no_code_and_what_follows_them_is() {
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() {\n    }\n}\nfn h() {}\n";
        assert_eq!(code_lines(text), 2);
        assert_eq!(code_lines("#[cfg(test)]\nmod tests;\nfn h() {}\n"), 1);
        assert_eq!(
            code_lines("#[cfg(test)]\n#[derive(Debug)]\nstruct A {\n    b: u8,\n}\n"),
            0
        );
    }
}
