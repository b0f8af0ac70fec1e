//! Rule: the code map in ARCHITECTURE.md has a heading for each package, and for no other.
//!
//! The code map is the section below the heading that says "code map". A heading in it names
//! packages in backticks, by name or by directory, one or several: ``### `examples/`, `benches/` ``.

use super::Violation;
use crate::markdown;
use crate::workspace::{Package, TextFile, Workspace};

pub(super) const DOCUMENT: &str = "ARCHITECTURE.md";
const SECTION: &str = "code map";

/// A heading of the code map.
#[derive(Debug)]
struct Heading<'a> {
    line: usize,
    names: Vec<&'a str>,
}

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let Some(document) = workspace.file(DOCUMENT) else {
        return vec![Violation::new(DOCUMENT, 1, "the file is missing")];
    };
    let Some((start, headings)) = code_map(document) else {
        return vec![Violation::new(DOCUMENT, 1, "no heading says \"code map\"")];
    };
    let mut found = stray_headings(workspace, &headings);
    found.extend(missing_packages(workspace, start, &headings));
    found
}

fn stray_headings(workspace: &Workspace, headings: &[Heading<'_>]) -> Vec<Violation> {
    let names = headings
        .iter()
        .flat_map(|heading| heading.names.iter().map(|name| (heading.line, name)));
    names
        .filter(|(_, name)| find(workspace, name).is_none() && !is_directory(workspace, name))
        .map(|(line, name)| {
            Violation::new(
                DOCUMENT,
                line,
                format!("`{name}` is no package of the workspace"),
            )
        })
        .collect()
}

fn missing_packages(
    workspace: &Workspace,
    start: usize,
    headings: &[Heading<'_>],
) -> Vec<Violation> {
    let is_mapped = |package: &&Package| {
        let mut names = headings.iter().flat_map(|heading| &heading.names);
        names.any(|name| names_package(name, package))
    };
    let missing = workspace
        .packages
        .iter()
        .filter(|package| !is_mapped(package));
    missing
        .map(|package| {
            let message = format!("the code map has no heading for `{}`", package.name);
            Violation::new(DOCUMENT, start, message)
        })
        .collect()
}

/// The line of the code map's own heading, and the headings below it.
fn code_map(document: &TextFile) -> Option<(usize, Vec<Heading<'_>>)> {
    let mut headings = markdown::prose(&document.text).filter_map(|(line, text)| {
        markdown::heading(text).map(|(level, text)| (line, level, text))
    });
    let (start, top, _) = headings.find(|(_, _, text)| text.to_lowercase().contains(SECTION))?;
    let below = headings.take_while(|(_, level, _)| *level > top);
    let named = below.map(|(line, _, text)| Heading {
        line,
        names: markdown::code_spans(text).collect(),
    });
    Some((start, named.collect()))
}

/// The package that a heading means, if there is one.
pub(super) fn find<'a>(workspace: &'a Workspace, name: &str) -> Option<&'a Package> {
    workspace
        .packages
        .iter()
        .find(|package| names_package(name, package))
}

fn names_package(name: &str, package: &Package) -> bool {
    let name = name.trim_end_matches('/');
    name == package.name || name == package.dir
}

/// `docs/` and the like may have a heading too.
fn is_directory(workspace: &Workspace, name: &str) -> bool {
    let prefix = format!("{}/", name.trim_end_matches('/'));
    workspace
        .files
        .iter()
        .any(|file| file.path.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_map(document: &str) -> Workspace {
        Workspace::of_files(&[(DOCUMENT, document), ("docs/semantics.md", "")])
            .with_package("towpath-core", "crates/towpath-core", Vec::new())
            .with_package("towpath-examples", "examples", Vec::new())
    }

    fn shown(workspace: &Workspace) -> Vec<String> {
        check(workspace).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_package_may_be_named_by_its_name_or_its_directory() {
        let map = "# A\n## Code map\n### `towpath-core`\n### `examples/`, `docs/`\n## `Message`\n";
        assert_eq!(shown(&with_map(map)), [""; 0]);
    }

    #[test]
    fn a_package_without_a_heading_is_reported_at_the_map() {
        let map = "# A\n## Code map\n### `towpath-core`\n## After\n### `examples`\n";
        let found = shown(&with_map(map));
        assert_eq!(
            found,
            ["ARCHITECTURE.md:2: the code map has no heading for `towpath-examples`"]
        );
    }

    #[test]
    fn a_heading_without_a_package_is_reported_at_its_line() {
        let map = "# Code map\n## `towpath-core`\n## `examples`\n## `towpath-gone`\n";
        let found = shown(&with_map(map));
        assert_eq!(
            found,
            ["ARCHITECTURE.md:4: `towpath-gone` is no package of the workspace"]
        );
    }

    #[test]
    fn a_missing_document_or_map_is_one_violation() {
        assert_eq!(
            shown(&Workspace::default()),
            ["ARCHITECTURE.md:1: the file is missing"]
        );
        assert_eq!(
            shown(&with_map("# A\n")),
            ["ARCHITECTURE.md:1: no heading says \"code map\""]
        );
    }
}
