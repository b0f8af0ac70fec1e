//! Rule: a file that a document mentions in backticks exists.
//!
//! A path with a slash counts from the root, from the document, or, below a heading that names a
//! package, from that package or its `src`. A bare name stands for a file of that package there,
//! and for any file elsewhere.

use super::{Violation, architecture};
use crate::markdown;
use crate::workspace::{Package, TextFile, Workspace};

const DOCUMENTS: [&str; 3] = [architecture::DOCUMENT, "README.md", "CONTRIBUTING.md"];
const MENTIONED: [&str; 2] = [".rs", ".md"];

/// In patterns, placeholders and commands, and where a test is named by its path.
const NO_PATH: [&str; 7] = ["*", "<", "{", "…", " ", "::", "..."];

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let documents = workspace.files.iter().filter(|file| is_document(file));
    documents
        .flat_map(|document| check_document(workspace, document))
        .collect()
}

fn is_document(file: &TextFile) -> bool {
    let is_below_docs = file.path.starts_with("docs/") && file.has_extension("md");
    is_below_docs || DOCUMENTS.contains(&file.path.as_str())
}

fn check_document(workspace: &Workspace, document: &TextFile) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut package = None;
    for (number, line) in markdown::prose(&document.text) {
        if let Some((_, heading)) = markdown::heading(line) {
            package =
                markdown::code_spans(heading).find_map(|name| architecture::find(workspace, name));
        }
        let spans = markdown::code_spans(line).filter(|span| is_path(span));
        let missing = spans.filter(|path| !exists(workspace, document, package, path));
        found.extend(missing.map(|path| violation(document, number, package, path)));
    }
    found
}

fn is_path(span: &str) -> bool {
    let is_file = MENTIONED
        .iter()
        .any(|end| span.len() > end.len() && span.ends_with(end));
    is_file && !NO_PATH.iter().any(|mark| span.contains(mark))
}

fn exists(
    workspace: &Workspace,
    document: &TextFile,
    package: Option<&Package>,
    path: &str,
) -> bool {
    let name = path.strip_prefix("./").unwrap_or(path);
    if !path.contains('/') {
        let mut files = workspace
            .files
            .iter()
            .filter(|file| package.is_none_or(|package| is_in(package, file)));
        return files.any(|file| file.name() == name) || workspace.file(name).is_some();
    }
    let beside = document
        .path
        .rsplit_once('/')
        .map(|(dir, _)| format!("{dir}/{name}"));
    let in_package = package.into_iter().flat_map(|package| {
        [
            format!("{}/{name}", package.dir),
            format!("{}/src/{name}", package.dir),
        ]
    });
    let mut places = [name.to_owned()]
        .into_iter()
        .chain(beside)
        .chain(in_package);
    places.any(|place| workspace.file(&place).is_some())
}

fn is_in(package: &Package, file: &TextFile) -> bool {
    let below = file.path.strip_prefix(&package.dir);
    below.is_some_and(|below| below.starts_with('/'))
}

fn violation(document: &TextFile, line: usize, package: Option<&Package>, path: &str) -> Violation {
    let place = package.map_or_else(String::new, |package| {
        format!(" (below a heading of `{}`)", package.name)
    });
    Violation::new(
        &document.path,
        line,
        format!("`{path}` does not exist{place}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(path: &str, document: &str) -> Workspace {
        let files = [
            (path, document),
            ("docs/design.md", ""),
            ("crates/towpath-core/src/receipt.rs", ""),
            ("crates/towpath-link/src/chunk.rs", ""),
        ];
        Workspace::of_files(&files)
            .with_package("towpath-core", "crates/towpath-core", Vec::new())
            .with_package("towpath-link", "crates/towpath-link", Vec::new())
    }

    fn missing(path: &str, document: &str) -> Vec<String> {
        check(&workspace(path, document))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_path_counts_from_the_root_from_the_document_or_from_the_package() {
        assert_eq!(
            missing(
                "README.md",
                "`crates/towpath-core/src/receipt.rs` `chunk.rs`"
            ),
            [""; 0]
        );
        assert_eq!(missing("docs/a.md", "see `./design.md`"), [""; 0]);
        assert_eq!(
            missing(
                "ARCHITECTURE.md",
                "### `towpath-core`\n`src/receipt.rs` `receipt.rs`"
            ),
            [""; 0]
        );
    }

    #[test]
    fn a_path_that_does_not_exist_is_reported_with_its_line() {
        let found = missing("README.md", "one\n`src/gone.rs` and `gone.rs`");
        assert_eq!(
            found,
            [
                "README.md:2: `src/gone.rs` does not exist",
                "README.md:2: `gone.rs` does not exist"
            ]
        );
    }

    #[test]
    fn below_the_heading_of_a_package_a_bare_name_is_a_file_of_that_package() {
        let found = missing("ARCHITECTURE.md", "### `towpath-core`\n`chunk.rs`");
        assert_eq!(
            found,
            ["ARCHITECTURE.md:2: `chunk.rs` does not exist (below a heading of `towpath-core`)"]
        );
    }

    #[test]
    fn patterns_commands_tests_and_fenced_blocks_are_no_paths() {
        let text = "`src/*.rs` `cargo run x.rs` `drain.rs::stops` `.rs`\n```\n`gone.rs`\n```";
        assert_eq!(missing("README.md", text), [""; 0]);
    }

    #[test]
    fn other_files_are_not_read() {
        assert_eq!(missing("CHANGELOG.md", "`gone.rs` was removed"), [""; 0]);
    }
}
