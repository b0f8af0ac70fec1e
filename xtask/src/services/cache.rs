//! What is built once, and kept in the cache folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::missing::Missing;
use crate::error::Error;

/// Makes what is to stand at `target`, by making it beside and renaming it: whoever is
/// interrupted leaves nothing half, and of several only one works.
///
/// `make` is told the place beside, where nothing is yet.
pub(super) fn build(
    target: &Path,
    is_there: impl Fn() -> bool,
    make: impl FnOnce(&Path) -> Result<(), Missing>,
) -> Result<(), Missing> {
    // The lock goes with the process.
    let _lock = lock(target).map_err(in_folder(target))?;
    if is_there() {
        return Ok(());
    }
    let beside = with_ending(target, "unfinished");
    remove(&beside).map_err(in_folder(&beside))?;
    make(&beside)?;
    remove(target).map_err(in_folder(target))?;
    fs::rename(&beside, target).map_err(in_folder(target))
}

fn lock(target: &Path) -> io::Result<File> {
    fs::create_dir_all(target.parent().unwrap_or(target))?;
    let lock = File::create(with_ending(target, "lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Not `with_extension`: a version has points, too.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn in_folder(path: &Path) -> impl FnOnce(io::Error) -> Missing {
    let path = path.to_owned();
    |source| Missing::Cache(Error::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty folder of this test's own, below the build products.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::current_exe().unwrap().with_extension(name);
        remove(&folder).unwrap();
        folder
    }

    #[test]
    fn what_was_left_half_is_begun_again() {
        let target = folder("cache-half").join("deeper").join("tool-v1.2");
        let beside = with_ending(&target, "unfinished");
        fs::create_dir_all(&beside).unwrap();
        let make = |place: &Path| {
            assert!(!place.exists());
            fs::write(place, "whole").map_err(in_folder(place))
        };
        build(&target, || target.exists(), make).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
        assert!(!beside.exists());
    }

    #[test]
    fn what_fails_leaves_nothing_at_its_place() {
        let target = folder("cache-failed").join("tool");
        let make = |place: &Path| {
            fs::write(place, "half").unwrap();
            Err(Missing::NoCache)
        };
        assert!(build(&target, || false, make).is_err());
        assert!(!target.exists());
    }

    #[test]
    fn what_somebody_else_has_made_meanwhile_is_taken() {
        let target = folder("cache-meanwhile").join("tool");
        let make = |_: &Path| -> Result<(), Missing> { unreachable!("it is there") };
        build(&target, || true, make).unwrap();
    }
}
