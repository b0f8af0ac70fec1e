//! Finds the functions of the workspace by name, and tells tests from others.

use std::collections::HashMap;

use crate::workspace::{TextFile, Workspace};

/// Where each function name is declared.
#[derive(Debug)]
pub(super) struct Functions<'a> {
    by_name: HashMap<&'a str, Vec<Declaration<'a>>>,
}

#[derive(Debug)]
struct Declaration<'a> {
    file: &'a TextFile,
    is_test: bool,
}

impl<'a> Functions<'a> {
    pub(super) fn of(workspace: &'a Workspace) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for file in workspace.sources() {
            for (name, is_test) in declarations(&file.text) {
                by_name
                    .entry(name)
                    .or_default()
                    .push(Declaration { file, is_test });
            }
        }
        Self { by_name }
    }

    /// Why this is not the name of one of our tests, if it is not.
    pub(super) fn problem_with(&self, test: &str) -> Option<String> {
        let (place, name) = test.rsplit_once("::").unwrap_or(("", test));
        let Some(declared) = self.by_name.get(name) else {
            return Some(format!("there is no function `{name}`"));
        };
        let mut here = declared
            .iter()
            .filter(|found| is_at(found.file, place))
            .peekable();
        if here.peek().is_none() {
            return Some(format!(
                "`{name}` is not in `{place}`, but in `{}`",
                declared[0].file.path
            ));
        }
        let is_test = here.any(|found| found.is_test);
        (!is_test).then(|| format!("`{name}` is a function, but no test"))
    }
}

/// Whether the file is the one, or holds the modules, that stand before the name of a test.
fn is_at(file: &TextFile, place: &str) -> bool {
    if place.contains(".rs") {
        return format!("/{}", file.path).ends_with(&format!("/{place}"));
    }
    let mut modules = place.split("::").filter(|module| !module.is_empty());
    modules.all(|module| is_in_module(file, module))
}

fn is_in_module(file: &TextFile, module: &str) -> bool {
    let mut parts = file
        .path
        .split('/')
        .map(|part| part.trim_end_matches(".rs").replace('-', "_"));
    parts.any(|part| part == module) || file.text.contains(&format!("mod {module} {{"))
}

/// The name of each function, and whether an attribute above it makes it a test.
fn declarations(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        let name = declared(line);
        let found = name.map(|name| (name, is_test));
        is_test = match line.trim() {
            line if is_test_attribute(line) => true,
            line if line.starts_with("//") => is_test,
            // An item or a statement ends here: the attribute is not for what follows.
            line if line.ends_with(['{', '}', ';']) => false,
            _ => is_test && name.is_none(),
        };
        found
    })
}

fn declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let is_comment = line.starts_with("//");
    let start = if line.starts_with("fn ") {
        0
    } else {
        line.find(" fn ")? + 1
    };
    let rest = line[start + "fn ".len()..].trim_start();
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let is_function = end > 0 && rest[end..].starts_with(['(', '<']);
    (is_function && !is_comment).then(|| &rest[..end])
}

fn is_test_attribute(line: &str) -> bool {
    let Some(attribute) = line.strip_prefix("#[") else {
        return false;
    };
    let path = attribute.split([']', '(']).next().unwrap_or_default();
    path.rsplit("::").next() == Some("test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, bool)> {
        declarations(text).collect()
    }

    #[test]
    fn an_attribute_makes_a_test_of_the_next_function_alone() {
        let text = "#[tokio::test(\n    start_paused = true,\n)]\n/// Ends with {it}\nasync fn stops() {\n    f();\n}\nfn helper() {}\n";
        assert_eq!(found(text), [("stops", true), ("helper", false)]);
    }

    #[test]
    fn tests_of_property_macros_are_found() {
        let text = "proptest! {\n    #[test]\n    fn holds(a in 0..9_u8) {\n    }\n}\n";
        assert_eq!(found(text), [("holds", true)]);
    }

    #[test]
    fn words_in_comments_and_function_types_are_no_functions() {
        assert_eq!(
            found("// fn gone() {}\ntype F = fn(u8);\nconst fn kept<T>() {}\n"),
            [("kept", false)]
        );
    }
}
