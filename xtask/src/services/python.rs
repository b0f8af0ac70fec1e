//! A Python that has what the OTLP receiver needs, in a virtual environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use towpath_test_servers::places;

use super::cache;
use super::missing::Missing;
use super::package::PYTHON;
use crate::cargo;

/// Only a Python that can run this is of use.
const NEEDED: &str = "import grpc, opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc";

/// Debian has these in a package of their own.
const MAKES_ENVIRONMENTS: &str = "import ensurepip, venv";

/// Where it is; puts it together where it is nowhere.
pub(super) fn provide(root: &Path) -> Result<Vec<PathBuf>, Missing> {
    if let Some(place) = find()? {
        return Ok(vec![place]);
    }
    let program = places::OTLP_PYTHON.cached().ok_or(Missing::NoCache)?;
    let python = python(root)?;
    println!("otlp: a Python for it is put together");
    let make = |beside: &Path| make(root, &python, beside);
    cache::build(environment(&program), || runs(&program, NEEDED), make)?;
    Ok(vec![program])
}

/// One that works. One in the cache whose own Python is gone is no error, as it can be made again.
pub(super) fn find() -> Result<Option<PathBuf>, Missing> {
    let Some(place) = places::OTLP_PYTHON.find()? else {
        return Ok(None);
    };
    if runs(&place, NEEDED) {
        return Ok(Some(place));
    }
    if places::OTLP_PYTHON.cached().as_ref() == Some(&place) {
        return Ok(None);
    }
    let variable = places::OTLP_PYTHON.variable;
    Err(Missing::Incomplete { variable, place })
}

/// One that can make virtual environments.
fn python(root: &Path) -> Result<PathBuf, Missing> {
    let find = || places::in_own_path("python3").filter(|found| runs(found, MAKES_ENVIRONMENTS));
    if let Some(found) = find() {
        return Ok(found);
    }
    PYTHON.install(root)?;
    find().ok_or(Missing::NotInPath("python3 with venv"))
}

/// The program stands in its `bin`.
fn environment(program: &Path) -> &Path {
    let folder = program.parent().and_then(Path::parent);
    folder.unwrap_or(program)
}

fn make(root: &Path, python: &Path, place: &Path) -> Result<(), Missing> {
    step(Command::new(python).args(["-m", "venv"]).arg(place))?;
    step(
        Command::new(place.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet"])
            .arg("--disable-pip-version-check")
            // What would have to be compiled takes longer than anybody expects.
            .args(["--only-binary", ":all:", "--requirement"])
            .arg(root.join(places::REQUIREMENTS)),
    )
}

fn step(command: &mut Command) -> Result<(), Missing> {
    let status = cargo::run(command)?;
    if status.success() {
        return Ok(());
    }
    let what = "the Python for otlp";
    Err(Missing::NotBuilt { what, status })
}

fn runs(python: &Path, code: &str) -> bool {
    cargo::works(Command::new(python).args(["-c", code]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_the_folder_above_that_of_its_program() {
        assert_eq!(
            environment(Path::new("cache/env/bin/python")),
            Path::new("cache/env")
        );
    }

    #[test]
    fn the_requirements_are_where_they_are_looked_for() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(root.join(places::REQUIREMENTS).is_file());
    }
}
