//! The names of the files, oldest first.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The name of the file that a process began at a moment.
pub(super) fn name(stamp: u64) -> String {
    format!("events-{stamp:015}-{}.jsonl", std::process::id())
}

/// The moment in the name of a file of events.
pub(super) fn stamp(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let (stamp, process) = name
        .strip_prefix("events-")?
        .strip_suffix(".jsonl")?
        .split_once('-')?;
    process.parse::<u32>().ok()?;
    stamp.parse().ok().filter(|_| stamp.len() == 15)
}

/// The files of events in a folder, oldest first.
pub(super) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if stamp(&path).is_some() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
