//! What takes long to make and is always the same, kept in the cache folder.

use std::path::Path;
use std::process::Command;
use std::{fs, io};

use tempfile::TempDir;

use crate::places;

/// Puts a folder at a place where nothing is yet: a copy of that of this name, with all rights
/// and owners; made where it is not there yet, and then kept for the next time.
pub(crate) fn copied(
    name: &str,
    place: &Path,
    make: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let Some(cache) = places::cache() else {
        return make();
    };
    let kept = cache.join(name);
    if kept.is_dir() {
        return copy(&kept, place);
    }
    make()?;
    // It may do without: all is there that is needed now.
    drop(keep(&cache, place, &kept));
    Ok(())
}

/// Whoever comes first wins, and nobody sees it half.
fn keep(cache: &Path, place: &Path, kept: &Path) -> io::Result<()> {
    fs::create_dir_all(cache)?;
    let beside = TempDir::new_in(cache)?;
    let whole = beside.path().join("whole");
    copy(place, &whole)?;
    fs::rename(&whole, kept)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut command = Command::new("cp");
    run(command.arg("-pR").arg(from).arg(to))
}

/// An error is what the program said.
pub(crate) fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(io::Error::other(
        String::from_utf8_lossy(&said).trim().to_owned(),
    ))
}
