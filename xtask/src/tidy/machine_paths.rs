//! Rule: nothing that is committed names a directory of somebody's machine.

use super::Violation;
use crate::workspace::Workspace;

/// Written in two parts, so that this file keeps its own rule.
const ROOTS: [&str; 4] = [
    concat!("/", "work/"),
    concat!("/", "root/"),
    concat!("/", "home/"),
    concat!("/", "tmp/"),
];

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let lines = workspace.files.iter().flat_map(|file| {
        file.lines()
            .map(|(number, line)| (file.path.as_str(), number, line))
    });
    let named = lines.flat_map(|(path, number, line)| {
        ROOTS
            .iter()
            .filter(move |root| names(line, root))
            .map(move |root| (path, number, root))
    });
    named
        .map(|(path, number, root)| {
            Violation::new(path, number, format!("a path of one machine: {root}"))
        })
        .collect()
}

/// Whether a path of the line starts with this root, and does not only contain it.
fn names(line: &str, root: &str) -> bool {
    let mut places = line.match_indices(root).map(|(at, _)| &line[..at]);
    places.any(|before| !before.ends_with(is_in_a_path))
}

fn is_in_a_path(c: char) -> bool {
    c.is_alphanumeric() || "-_.~$}".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_path_is_reported_wherever_it_stands() {
        for root in ROOTS {
            let file = format!("//! A.\nlet path = \"{root}data.csv\";\n");
            let found = check(&Workspace::of_files(&[("a.rs", &file)]));
            assert_eq!(
                found,
                [Violation::new(
                    "a.rs",
                    2,
                    format!("a path of one machine: {root}")
                )]
            );
        }
    }

    #[test]
    fn the_same_word_inside_a_path_is_none_of_our_business() {
        let [work, root, home, tmp] = ROOTS;
        let text = format!("src{work}a.rs https://example.org{home}\n~{tmp}b ${{HERE}}{root}c\n");
        assert_eq!(check(&Workspace::of_files(&[("a.md", &text)])), []);
    }
}
