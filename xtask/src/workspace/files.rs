//! Reads the text files of the checkout, without asking git, so that an archive works too.

use std::fs;
use std::io;
use std::path::Path;

use super::TextFile;
use crate::error::Error;

const TEXT_EXTENSIONS: [&str; 7] = ["rs", "toml", "md", "sh", "py", "yml", "yaml"];
const TEXT_NAMES: [&str; 1] = [".ci/run"];

/// Cargo puts this file into every directory of build products, wherever that is.
const BUILD_MARK: &str = "CACHEDIR.TAG";

/// All text files below `root`, in the order of their paths.
pub(super) fn read(root: &Path) -> Result<Vec<TextFile>, Error> {
    let mut skipped = vec![".git".to_owned()];
    skipped.extend(ignored_at_root(
        &fs::read_to_string(root.join(".gitignore")).unwrap_or_default(),
    ));
    let mut files = Vec::new();
    walk(root, "", &skipped, &mut files)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// The entries of a `.gitignore` that name one thing in the root.
fn ignored_at_root(gitignore: &str) -> Vec<String> {
    let entries = gitignore.lines().filter_map(|line| line.strip_prefix('/'));
    entries
        .map(|entry| entry.trim_end_matches('/').to_owned())
        .collect()
}

fn walk(
    dir: &Path,
    prefix: &str,
    skipped: &[String],
    files: &mut Vec<TextFile>,
) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(at(&entry.path()))?;
        if kind.is_dir() && !skipped.contains(&path) && !entry.path().join(BUILD_MARK).exists() {
            walk(&entry.path(), &format!("{path}/"), skipped, files)?;
        } else if kind.is_file() && is_text(&path) {
            let text = fs::read_to_string(entry.path()).map_err(at(&entry.path()))?;
            files.push(TextFile { path, text });
        }
    }
    Ok(())
}

fn is_text(path: &str) -> bool {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    TEXT_NAMES.contains(&path) || extension.is_some_and(|found| TEXT_EXTENSIONS.contains(&found))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_anchored_entries_of_gitignore_are_skipped() {
        assert_eq!(
            ignored_at_root("/target\n/.bench/\n*.profraw\n"),
            ["target", ".bench"]
        );
    }

    #[test]
    fn sources_documents_and_scripts_are_text_and_data_is_not() {
        assert!(is_text("crates/towpath/src/lib.rs"));
        assert!(is_text(".ci/run"));
        assert!(!is_text("examples/data/planes.csv"));
        assert!(!is_text("LICENSE-MIT"));
    }
}
