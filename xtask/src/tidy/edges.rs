//! Rule: a crate depends only on the crates that its layer may use.

use super::Violation;
use crate::workspace::{Dependency, Kind, Package, TextFile, Workspace};

use Allowed::{AnyCrate, Only};

/// Which crates of the workspace a crate may use.
#[derive(Debug, Clone, Copy)]
enum Allowed {
    Only(&'static [&'static str]),
    AnyCrate,
}

/// The layers. Dependencies for tests alone are free.
const EDGES: [(&str, Allowed); 15] = [
    ("towpath-core", Only(&[])),
    ("towpath-link", Only(&[])),
    ("towpath-options", Only(&[])),
    ("towpath-policy", Only(&["towpath-options"])),
    ("towpath-connector", Only(&["towpath-core"])),
    ("towpath-producer", Only(&["towpath-core", "towpath-link"])),
    (
        "towpath-processor",
        Only(&["towpath-core", "towpath-link", "towpath-policy"]),
    ),
    ("towpath-batcher", Only(&["towpath-core", "towpath-link"])),
    ("towpath-telemetry", Only(&["towpath-core"])),
    // Its commits and redeliveries are those that any source of a log would need.
    (
        "towpath-kafka",
        Only(&[
            "towpath-core",
            "towpath-connector",
            "towpath-options",
            "towpath-producer",
        ]),
    ),
    (
        "towpath-runtime",
        Only(&[
            "towpath-core",
            "towpath-link",
            "towpath-producer",
            "towpath-processor",
            "towpath-batcher",
        ]),
    ),
    ("towpath", AnyCrate),
    (
        "towpath-test",
        Only(&[
            "towpath-core",
            "towpath-runtime",
            "towpath-telemetry",
            "towpath",
        ]),
    ),
    ("towpath-test-servers", Only(&[])),
    ("xtask", Only(&["towpath-test-servers"])),
];

/// Any other published crate is a connector to one outside system.
const CONNECTOR: Allowed = Only(&["towpath-core", "towpath-connector", "towpath-options"]);

/// Names of packages from elsewhere; a `*` at the end stands for any ending.
#[derive(Debug, Clone, Copy)]
enum External {
    Banned(&'static [&'static str]),
    OnlyThese(&'static [&'static str]),
}

const EXTERNAL: [(&str, External); 2] = [
    (
        "towpath-core",
        External::Banned(&["tokio", "tokio-*", "tower", "tower-*"]),
    ),
    (
        "towpath-link",
        External::OnlyThese(&["async-channel", "atomic-waker", "futures-*"]),
    ),
];

/// The only published crate that names OpenTelemetry, which changes each quarter.
const TELEMETRY: &str = "towpath-telemetry";

const OPEN_TELEMETRY: [&str; 2] = ["opentelemetry*", "tracing-opentelemetry"];

/// The model checker, declared for its own cfg, is no dependency of what is published.
const MODEL_CHECKER: (&str, &str) = ("shuttle", "cfg(shuttle)");

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let packages = workspace.packages.iter();
    packages
        .flat_map(|package| check_package(workspace, package))
        .collect()
}

fn check_package(workspace: &Workspace, package: &Package) -> Vec<Violation> {
    let dependencies = package
        .dependencies
        .iter()
        .filter(|found| found.kind != Kind::Dev);
    let refused = dependencies.filter_map(|dependency| {
        let reason = match workspace.package(&dependency.name) {
            Some(target) => refused_edge(package, target),
            None => refused_external(package, dependency),
        };
        Some((dependency, reason?))
    });
    refused
        .map(|(dependency, reason)| {
            let manifest = package.manifest();
            let line = declared_at(workspace, &manifest, &dependency.name);
            Violation::new(&manifest, line, reason)
        })
        .collect()
}

fn refused_edge(package: &Package, target: &Package) -> Option<String> {
    let (from, to) = (&package.name, &target.name);
    match allowed(package)? {
        AnyCrate if target.is_published() => None,
        AnyCrate => Some(format!(
            "`{from}` may not depend on `{to}`, which is not published"
        )),
        Only(names) if names.contains(&to.as_str()) => None,
        Only([]) => Some(format!(
            "`{from}` may not depend on `{to}`, nor on any of our crates"
        )),
        Only(names) => Some(format!(
            "`{from}` may not depend on `{to}`, only on {}",
            names.join(", ")
        )),
    }
}

/// `None` for the packages that are there to use everything: examples and benches.
fn allowed(package: &Package) -> Option<Allowed> {
    let row = EDGES.iter().find(|(name, _)| *name == package.name);
    let listed = row.map(|&(_, allowed)| allowed);
    listed.or_else(|| package.is_published().then_some(CONNECTOR))
}

fn refused_external(package: &Package, dependency: &Dependency) -> Option<String> {
    refused_open_telemetry(package, dependency).or_else(|| refused_by_row(package, dependency))
}

fn refused_open_telemetry(package: &Package, dependency: &Dependency) -> Option<String> {
    let (from, to) = (&package.name, &dependency.name);
    let is_free = from == TELEMETRY || !package.is_published();
    (!is_free && matches(&OPEN_TELEMETRY, to))
        .then(|| format!("`{from}` may not depend on `{to}`, only {TELEMETRY} may"))
}

fn refused_by_row(package: &Package, dependency: &Dependency) -> Option<String> {
    let (_, rule) = EXTERNAL.iter().find(|(name, _)| *name == package.name)?;
    let (from, to) = (&package.name, &dependency.name);
    match rule {
        External::Banned(patterns) if matches(patterns, to) => {
            Some(format!("`{from}` may not depend on `{to}`"))
        }
        External::OnlyThese(patterns)
            if !matches(patterns, to) && !is_model_checker(dependency) =>
        {
            Some(format!(
                "`{from}` may not depend on `{to}`, only on {}",
                patterns.join(", ")
            ))
        }
        External::Banned(_) | External::OnlyThese(_) => None,
    }
}

fn matches(patterns: &[&str], name: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => *pattern == name,
        })
}

fn is_model_checker(dependency: &Dependency) -> bool {
    let (name, target) = MODEL_CHECKER;
    dependency.name == name && dependency.target.as_deref() == Some(target)
}

/// The line that declares the dependency; the first line when it goes by another name there.
fn declared_at(workspace: &Workspace, manifest: &str, name: &str) -> usize {
    let declares = |line: &str| {
        let rest = line.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    let mut lines = workspace
        .file(manifest)
        .into_iter()
        .flat_map(TextFile::lines);
    lines
        .find(|(_, line)| declares(line))
        .map_or(1, |(number, _)| number)
}

#[cfg(test)]
mod tests;
