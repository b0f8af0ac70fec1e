//! Jaeger, built once with Go.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use towpath_test_servers::places;

use super::cache;
use super::missing::Missing;
use crate::cargo;

/// The newest that Go's proxy knows by a version; its `cmd/jaeger` is Jaeger 2. `go install` does
/// not take it, because of its replace directives.
const MODULE: &str = "github.com/jaegertracing/jaeger@v1.76.0";

/// Where it is; builds it where it is nowhere.
pub(crate) fn provide() -> Result<PathBuf, Missing> {
    let find = || places::JAEGER.find();
    if let Some(place) = find()? {
        return Ok(place);
    }
    let target = places::JAEGER.cached().ok_or(Missing::NoCache)?;
    let go = places::in_own_path("go").ok_or(Missing::NoGo)?;
    println!("jaeger: is built once, which takes some minutes");
    cache::build(&target, || target.is_file(), |beside| build(&go, beside))?;
    Ok(target)
}

fn build(go: &Path, place: &Path) -> Result<(), Missing> {
    let source = download(go, place)?;
    let mut command = Command::new(go);
    command
        .args([
            "build",
            "-buildvcs=false",
            "-trimpath",
            "-ldflags=-s -w",
            "-o",
        ])
        .arg(place)
        .arg("./cmd/jaeger")
        .current_dir(source);
    // Neither a C compiler nor somebody's workspace has a part in it.
    command.envs([("CGO_ENABLED", "0"), ("GOWORK", "off")]);
    let status = cargo::run(&mut command)?;
    if status.success() {
        return Ok(());
    }
    Err(Missing::NotBuilt {
        what: "jaeger",
        status,
    })
}

/// The sources, in Go's own cache.
fn download(go: &Path, place: &Path) -> Result<PathBuf, Missing> {
    let mut command = Command::new(go);
    command.args(["mod", "download", "-json", MODULE]);
    // Outside of any module.
    command.current_dir(place.parent().unwrap_or(place));
    let (_, output) = cargo::run_captured(&mut command)?;
    let answer: Value = serde_json::from_str(&output).unwrap_or_default();
    let field = |name: &str| answer[name].as_str().map(str::to_owned);
    match field("Dir") {
        Some(dir) => Ok(dir.into()),
        None => Err(Missing::NoModule {
            module: MODULE,
            reason: field("Error").unwrap_or_default(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_a_place_of_its_own() {
        let (_, version) = MODULE.split_once('@').unwrap();
        assert_eq!(places::JAEGER.path, format!("jaeger-{version}"));
    }
}
