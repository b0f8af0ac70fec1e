//! Where the programs are: in the path, in a cache folder, or where a variable says.

use std::error::Error as StdError;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

/// A program that is looked for in the path.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// What it is called there.
    pub name: &'static str,
    /// The environment variable that names its place, where that is not in the path.
    pub variable: &'static str,
    /// A folder with a folder for each version, in whose `bin` it may be, too; or empty.
    pub versions: &'static str,
}

/// A program that is built or put together, and kept in the [cache folder](cache).
#[derive(Debug, Clone, Copy)]
pub struct Built {
    /// The environment variable that names another one.
    pub variable: &'static str,
    /// Below the cache folder.
    pub path: &'static str,
}

/// The Redis server.
pub const REDIS: Program = Program {
    name: "redis-server",
    variable: "REDIS_SERVER",
    versions: "",
};

/// The Prometheus server.
pub const PROMETHEUS: Program = Program {
    name: "prometheus",
    variable: "PROMETHEUS",
    versions: "",
};

/// What checks Prometheus's files.
pub const PROMTOOL: Program = Program {
    name: "promtool",
    variable: "PROMTOOL",
    versions: "",
};

/// The NATS server.
pub const NATS: Program = Program {
    name: "nats-server",
    variable: "NATS_SERVER",
    versions: "",
};

/// The PostgreSQL server; what else it needs is beside it.
pub const POSTGRES: Program = Program {
    name: "postgres",
    variable: "POSTGRES",
    versions: "/usr/lib/postgresql",
};

/// What makes certificates.
pub const OPENSSL: Program = Program {
    name: "openssl",
    variable: "OPENSSL",
    versions: "",
};

/// What runs Kafka.
pub const JAVA: Program = Program {
    name: "java",
    variable: "JAVA",
    versions: "",
};

/// Kafka, in the version that the tests know; all else that it needs is beside it.
pub const KAFKA: Built = Built {
    variable: "KAFKA_JAR",
    path: "kafka-4.3.1/kafka_2.13-4.3.1.jar",
};

/// Jaeger, in the version that the tests know.
pub const JAEGER: Built = Built {
    variable: "JAEGER",
    path: "jaeger-v1.76.0",
};

/// A Python that has what the OTLP receiver needs.
pub const OTLP_PYTHON: Built = Built {
    variable: "OTLP_PYTHON",
    path: "otlp-python-1.85.1-1.45.2/bin/python",
};

/// What that Python has installed, pinned, from the root of the checkout.
pub const REQUIREMENTS: &str = "test-servers/requirements.txt";

/// The variable that names the cache folder.
const CACHE: &str = "TOWPATH_CACHE";

/// A variable names a place where there is no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongPlace {
    /// The variable.
    pub variable: &'static str,
    /// What it says.
    pub place: PathBuf,
}

impl Program {
    /// Where it is: where its variable says, in the path, or in the newest version's folder.
    ///
    /// # Errors
    ///
    /// When its variable names no file.
    pub fn find(&self) -> Result<Option<PathBuf>, WrongPlace> {
        let path = env::var_os("PATH").unwrap_or_default();
        self.find_in(env::var_os(self.variable), &path)
    }

    fn find_in(
        &self,
        named: Option<OsString>,
        path: &OsStr,
    ) -> Result<Option<PathBuf>, WrongPlace> {
        let found = || in_path(self.name, path).or_else(|| self.newest());
        Ok(named_place(self.variable, named)?.or_else(found))
    }

    fn newest(&self) -> Option<PathBuf> {
        let folders = fs::read_dir(self.versions).ok()?.flatten();
        let number = |name: OsString| name.to_str()?.parse::<u32>().ok();
        let versions = folders.filter_map(|folder| {
            let place = folder.path().join("bin").join(self.name);
            Some((number(folder.file_name())?, place))
        });
        let there = versions.filter(|(_, place)| place.is_file());
        there.max().map(|(_, place)| place)
    }
}

impl Built {
    /// Where it is: where its variable says, or in the cache folder.
    ///
    /// # Errors
    ///
    /// When its variable names no file.
    pub fn find(&self) -> Result<Option<PathBuf>, WrongPlace> {
        let named = named_place(self.variable, env::var_os(self.variable))?;
        let cached = || self.cached().filter(|place| place.is_file());
        Ok(named.or_else(cached))
    }

    /// Where it is kept; `None` where there is no [cache folder](cache).
    #[must_use]
    pub fn cached(&self) -> Option<PathBuf> {
        cache().map(|cache| cache.join(self.path))
    }
}

/// The first file of this name in the directories of the `PATH`.
#[must_use]
pub fn in_own_path(name: &str) -> Option<PathBuf> {
    in_path(name, &env::var_os("PATH").unwrap_or_default())
}

/// The folder for what is built once: `TOWPATH_CACHE`, else `towpath` in `XDG_CACHE_HOME`, else in
/// `~/.cache`. `None` where there is not even a home.
#[must_use]
pub fn cache() -> Option<PathBuf> {
    cache_of(|variable| env::var_os(variable).filter(|value| !value.is_empty()))
}

fn cache_of(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let xdg = || variable("XDG_CACHE_HOME").map(|dir| Path::new(&dir).join("towpath"));
    let home = || variable("HOME").map(|dir| Path::new(&dir).join(".cache/towpath"));
    let named = variable(CACHE).map(PathBuf::from);
    named.or_else(xdg).or_else(home)
}

fn named_place(
    variable: &'static str,
    named: Option<OsString>,
) -> Result<Option<PathBuf>, WrongPlace> {
    let Some(place) = named.filter(|named| !named.is_empty()).map(PathBuf::from) else {
        return Ok(None);
    };
    if place.is_file() {
        Ok(Some(place))
    } else {
        Err(WrongPlace { variable, place })
    }
}

fn in_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    let mut places = env::split_paths(path).map(|dir| dir.join(name));
    places.find(|place| place.is_file())
}

// === impl WrongPlace ===

impl fmt::Display for WrongPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (variable, place) = (self.variable, self.place.display());
        write!(f, "{variable} names {place}, which is no file")
    }
}

impl StdError for WrongPlace {}

#[cfg(test)]
mod tests {
    use super::*;

    /// This package's own manifest stands in for a program.
    const FILE: Program = Program {
        name: "Cargo.toml",
        variable: "MANIFEST",
        versions: "",
    };

    const DIR: &str = env!("CARGO_MANIFEST_DIR");

    #[test]
    fn a_program_is_found_in_the_path() {
        let found = FILE.find_in(None, DIR.as_ref()).unwrap();
        assert_eq!(found, Some(Path::new(DIR).join("Cargo.toml")));
        let missing = REDIS.find_in(None, DIR.as_ref()).unwrap();
        assert_eq!(missing, None);
    }

    #[test]
    fn the_named_place_counts_and_the_path_does_not() {
        let named = Path::new(DIR).join("src/lib.rs");
        let found = FILE.find_in(Some(named.clone().into()), DIR.as_ref());
        assert_eq!(found.unwrap(), Some(named));
        let gone = FILE.find_in(Some("gone".into()), DIR.as_ref());
        assert_eq!(
            gone.unwrap_err().to_string(),
            "MANIFEST names gone, which is no file"
        );
    }

    #[test]
    fn with_other_versions_the_python_is_another_one() {
        let pinned = include_str!("../requirements.txt").lines();
        let versions = pinned.filter_map(|line| line.split_once("==").map(|(_, version)| version));
        let [grpcio, proto] = versions.collect::<Vec<_>>()[..2] else {
            panic!("two versions");
        };
        let expected = format!("otlp-python-{grpcio}-{proto}/bin/python");
        assert_eq!(OTLP_PYTHON.path, expected);
    }

    #[test]
    fn the_cache_folder_is_the_named_one_or_in_that_of_the_user() {
        let all = [
            ("TOWPATH_CACHE", "named"),
            ("XDG_CACHE_HOME", "xdg"),
            ("HOME", "home"),
        ];
        let cache_with = |set: &[(&str, &str)]| {
            cache_of(|name| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| value.into())
            })
        };
        assert_eq!(cache_with(&all), Some("named".into()));
        assert_eq!(cache_with(&all[1..]), Some("xdg/towpath".into()));
        assert_eq!(cache_with(&all[2..]), Some("home/.cache/towpath".into()));
        assert_eq!(cache_with(&[]), None);
    }
}
