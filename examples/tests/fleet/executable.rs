//! Where the program is.

use std::path::{Path, PathBuf};

/// Cargo builds examples beside the tests, but tells the tests no path to them.
pub(crate) fn executable() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(Path::parent).unwrap();
    let name = format!("fleet{}", std::env::consts::EXE_SUFFIX);
    let path = target.join("examples").join(name);
    let build = "cargo build -p towpath-examples --features kafka,nats,sqlite --examples";
    assert!(path.exists(), "build it first: {build}");
    path
}
