//! `cargo xtask services`: puts the servers in place that some tests start for themselves.
//!
//! Nothing is started here: each test runs private servers, and ends them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use towpath_test_servers::{is_unwanted, places};

use crate::error::chain;

mod cache;
mod jaeger;
mod kafka;
mod missing;
mod package;
mod python;
mod rights;

use missing::Missing;

pub(crate) use jaeger::provide as provide_jaeger;

/// What tests start, under the name by which they can do without it.
#[derive(Debug)]
struct Service {
    name: &'static str,
    is_there: fn() -> bool,
    /// Puts in place what is missing; where it is.
    provide: fn(&Path) -> Result<Vec<PathBuf>, Missing>,
}

/// The quick ones first.
const SERVICES: [Service; 8] = [
    Service {
        name: "redis",
        is_there: || package::REDIS.is_there(),
        provide: |root| package::REDIS.provide(root),
    },
    Service {
        name: "nats",
        is_there: || package::NATS.is_there(),
        provide: |root| package::NATS.provide(root),
    },
    Service {
        name: "postgresql",
        is_there: || package::POSTGRESQL.is_there(),
        provide: |root| package::POSTGRESQL.provide(root),
    },
    // No server: what the others are given for TLS.
    Service {
        name: "openssl",
        is_there: || package::OPENSSL.is_there(),
        provide: |root| package::OPENSSL.provide(root),
    },
    Service {
        name: "prometheus",
        is_there: || package::PROMETHEUS.is_there(),
        provide: |root| package::PROMETHEUS.provide(root),
    },
    Service {
        name: "otlp",
        is_there: || python::find().is_ok_and(|found| found.is_some()),
        provide: python::provide,
    },
    Service {
        name: "kafka",
        is_there: kafka::is_there,
        provide: kafka::provide,
    },
    Service {
        name: "jaeger",
        is_there: || places::JAEGER.find().is_ok_and(|found| found.is_some()),
        provide: |_| jaeger::provide().map(|place| vec![place]),
    },
];

/// How many there are.
pub(crate) const COUNT: usize = SERVICES.len();

/// A service that is not there, and why.
#[derive(Debug)]
pub(crate) struct Absent {
    name: &'static str,
    reason: String,
}

/// Puts in place what is missing; succeeds when all servers are there.
pub(crate) fn run(root: &Path) -> ExitCode {
    let absent = provide(root);
    for service in &absent {
        eprintln!("{service}");
    }
    if absent.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Puts each service in place that is missing, prints where they are, and returns those that are
/// not to be had.
pub(crate) fn provide(root: &Path) -> Vec<Absent> {
    let absent = |service: &Service| {
        let reason = if is_unwanted(service.name) {
            "not wanted".to_owned()
        } else {
            chain(&service.print(root).err()?)
        };
        let name = service.name;
        Some(Absent { name, reason })
    };
    SERVICES.iter().filter_map(absent).collect()
}

/// The names of the services that are not there, or not wanted; nothing is put in place.
pub(crate) fn absent() -> Vec<&'static str> {
    let is_absent = |service: &&Service| is_unwanted(service.name) || !(service.is_there)();
    let absent = SERVICES.iter().filter(is_absent);
    absent.map(|service| service.name).collect()
}

// === impl Absent ===

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

// === impl Service ===

impl Service {
    fn print(&self, root: &Path) -> Result<(), Missing> {
        for place in (self.provide)(root)? {
            println!("{}: {}", self.name, place.display());
        }
        Ok(())
    }
}
