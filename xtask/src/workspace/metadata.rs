//! Reads packages and their declared dependencies from `cargo metadata`.

use std::path::Path;

use serde_json::Value;

use super::{Dependency, External, Kind, Package, Workspace};
use crate::cargo::{cargo, start_error};
use crate::error::Error;

/// Asks cargo, without resolving or downloading anything.
pub(super) fn read(root: &Path) -> Result<Workspace, Error> {
    parse(&metadata(root, "--no-deps")?)
}

/// Asks cargo for all packages that some platform and some feature needs; what is not on this
/// machine yet is downloaded.
pub(super) fn read_externals(root: &Path) -> Result<Vec<External>, Error> {
    parse_externals(&metadata(root, "--all-features")?)
}

fn metadata(root: &Path, which: &str) -> Result<Value, Error> {
    let mut command = cargo(root, &["metadata", which, "--format-version", "1"]);
    let output = command
        .output()
        .map_err(|source| start_error(&command, source))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Metadata { stderr });
    }
    serde_json::from_slice(&output.stdout).map_err(|source| Error::MetadataJson { source })
}

fn parse(metadata: &Value) -> Result<Workspace, Error> {
    let root = text(metadata, "workspace_root")?;
    let packages = list(metadata, "packages")?;
    Ok(Workspace {
        packages: packages
            .iter()
            .map(|value| package(root, value))
            .collect::<Result<_, _>>()?,
        target_dir: text(metadata, "target_directory")?.into(),
        ..Workspace::default()
    })
}

/// Our own packages have no source.
fn parse_externals(metadata: &Value) -> Result<Vec<External>, Error> {
    let packages = list(metadata, "packages")?.iter();
    let externals = packages.filter(|package| !package["source"].is_null());
    externals.map(external).collect()
}

fn external(value: &Value) -> Result<External, Error> {
    Ok(External {
        name: text(value, "name")?.to_owned(),
        version: text(value, "version")?.to_owned(),
        licence: value["license"].as_str().map(str::to_owned),
    })
}

fn package(root: &str, value: &Value) -> Result<Package, Error> {
    let dependencies = list(value, "dependencies")?;
    Ok(Package {
        name: text(value, "name")?.to_owned(),
        dir: directory(root, text(value, "manifest_path")?),
        dependencies: dependencies
            .iter()
            .map(dependency)
            .collect::<Result<_, _>>()?,
        tests: list(value, "targets")?
            .iter()
            .filter_map(test_name)
            .collect(),
        features: feature_names(value)?,
    })
}

fn dependency(value: &Value) -> Result<Dependency, Error> {
    Ok(Dependency {
        name: text(value, "name")?.to_owned(),
        kind: match value["kind"].as_str() {
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            _ => Kind::Normal,
        },
        target: value["target"].as_str().map(str::to_owned),
    })
}

fn test_name(target: &Value) -> Option<String> {
    let kinds = target["kind"].as_array()?;
    let is_test = kinds.iter().any(|kind| kind == "test");
    is_test.then(|| target["name"].as_str().map(str::to_owned))?
}

fn feature_names(package: &Value) -> Result<Vec<String>, Error> {
    let field = "features";
    let features = package[field].as_object();
    let names = features.ok_or(Error::MetadataField { field })?.keys();
    Ok(names.filter(|name| *name != "default").cloned().collect())
}

/// The directory of a manifest, relative to the root, with forward slashes.
fn directory(root: &str, manifest: &str) -> String {
    let relative = manifest
        .strip_prefix(root)
        .unwrap_or(manifest)
        .replace('\\', "/");
    relative
        .trim_start_matches('/')
        .trim_end_matches("/Cargo.toml")
        .to_owned()
}

fn text<'a>(value: &'a Value, field: &'static str) -> Result<&'a str, Error> {
    value[field].as_str().ok_or(Error::MetadataField { field })
}

fn list<'a>(value: &'a Value, field: &'static str) -> Result<&'a [Value], Error> {
    value[field]
        .as_array()
        .map(Vec::as_slice)
        .ok_or(Error::MetadataField { field })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata() -> Value {
        json!({
            "workspace_root": "/checkout",
            "target_directory": "/checkout/target",
            "packages": [{
                "name": "towpath-link",
                "manifest_path": "/checkout/crates/towpath-link/Cargo.toml",
                "dependencies": [
                    {"name": "async-channel", "kind": null, "target": null},
                    {"name": "shuttle", "kind": "dev", "target": "cfg(shuttle)"},
                ],
                "targets": [
                    {"name": "towpath_link", "kind": ["lib"]},
                    {"name": "model", "kind": ["test"]},
                ],
                "features": {"default": ["one"], "one": [], "two": ["dep:shuttle"]},
            }],
        })
    }

    #[test]
    fn packages_carry_their_directory_their_dependencies_and_their_tests() {
        let workspace = parse(&metadata()).unwrap();
        let package = workspace.package("towpath-link").unwrap();
        assert_eq!(package.dir, "crates/towpath-link");
        assert_eq!(package.manifest(), "crates/towpath-link/Cargo.toml");
        assert_eq!(package.tests, ["model"]);
        assert_eq!(package.dependencies[0].kind, Kind::Normal);
        assert_eq!(package.dependencies[1].kind, Kind::Dev);
        assert_eq!(
            package.dependencies[1].target.as_deref(),
            Some("cfg(shuttle)")
        );
    }

    #[test]
    fn the_features_of_what_is_tested_are_named_for_the_workspace() {
        let mut workspace = parse(&metadata()).unwrap();
        let named = ["towpath-link/one", "towpath-link/two"];
        assert_eq!(workspace.tested_features(), named);
        workspace.packages[0].dir = "examples".to_owned();
        assert_eq!(workspace.tested_features(), named);
        workspace.packages[0].dir = "benches".to_owned();
        assert_eq!(workspace.tested_features(), [""; 0]);
    }

    #[test]
    fn packages_from_elsewhere_carry_their_licence() {
        let packages = json!({"packages": [
            {"name": "towpath", "version": "1.0.0", "source": null, "license": "MIT"},
            {"name": "a", "version": "1.0.0", "source": "registry", "license": "ISC"},
            {"name": "b", "version": "2.0.0", "source": "registry", "license": null},
        ]});
        let externals = parse_externals(&packages).unwrap();
        let licences = externals
            .iter()
            .map(|found| (found.name.as_str(), found.licence.as_deref()));
        assert_eq!(
            licences.collect::<Vec<_>>(),
            [("a", Some("ISC")), ("b", None)]
        );
    }

    #[test]
    fn a_missing_field_is_named() {
        let error = parse(&json!({"workspace_root": "/checkout"})).unwrap_err();
        assert_eq!(error.to_string(), "cargo metadata has no field packages");
    }
}
