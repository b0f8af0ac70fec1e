//! Kafka, got once with Maven.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use towpath_test_servers::{Kafka, places};

use super::cache;
use super::missing::Missing;
use super::package::{JAVA, MAVEN};
use crate::cargo;
use crate::error::Error;

/// What Maven is told.
const POM: &str = include_str!("kafka.xml");

const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies";

pub(super) fn is_there() -> bool {
    JAVA.is_there() && places::KAFKA.find().is_ok_and(|found| found.is_some())
}

/// Where Java and Kafka are; gets what is nowhere.
pub(super) fn provide(root: &Path) -> Result<Vec<PathBuf>, Missing> {
    let mut places = JAVA.provide(root)?;
    places.push(jar(root)?);
    Ok(places)
}

fn jar(root: &Path) -> Result<PathBuf, Missing> {
    let find = || places::KAFKA.find();
    let cached = places::KAFKA.cached();
    let found = find()?;
    if let Some(place) = found
        .as_ref()
        .filter(|place| Some(*place) != cached.as_ref())
    {
        return Ok(place.clone());
    }
    let jar = cached.ok_or(Missing::NoCache)?;
    if found.is_none() {
        get(root, &jar)?;
    }
    // Once, too; and so it is known to work.
    Kafka::archive().map_err(|source| Missing::NotWorking {
        what: "kafka",
        source,
    })?;
    Ok(jar)
}

fn get(root: &Path, jar: &Path) -> Result<(), Missing> {
    let maven = MAVEN.provide(root)?.remove(0);
    println!("kafka: is got once with Maven");
    let folder = jar.parent().unwrap_or(jar);
    cache::build(folder, || jar.is_file(), |beside| copy(&maven, beside))
}

fn copy(maven: &Path, folder: &Path) -> Result<(), Missing> {
    let pom = folder.join("pom.xml");
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&pom, POM));
    written.map_err(|source| {
        let path = pom.clone();
        Missing::Cache(Error::File { path, source })
    })?;
    let mut output = "-DoutputDirectory=".to_owned();
    output += &folder.display().to_string();
    let mut command = Command::new(maven);
    command.args(["--batch-mode", "--quiet", COPY]);
    command.args(["-DincludeScope=runtime", &output, "--file"]);
    let status = cargo::run(command.arg(pom))?;
    if status.success() {
        return Ok(());
    }
    Err(Missing::NotBuilt {
        what: "kafka",
        status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_a_place_of_its_own() {
        let (_, rest) = POM
            .split_once("<artifactId>kafka_2.13</artifactId>")
            .unwrap();
        let (_, rest) = rest.split_once("<version>").unwrap();
        let (version, _) = rest.split_once("</version>").unwrap();
        let expected = format!("kafka-{version}/kafka_2.13-{version}.jar");
        assert_eq!(places::KAFKA.path, expected);
    }
}
