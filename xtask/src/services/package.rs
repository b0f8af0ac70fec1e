//! Servers that come with a package of Debian and its kin.

use std::path::{Path, PathBuf};
use std::process::Command;

use towpath_test_servers::places::{self, Program};

use super::missing::Missing;
use super::rights::Rights;
use crate::cargo;

/// From the root of the checkout; written for root.
const INSTALL: &str = "xtask/src/services/install.sh";

#[derive(Debug)]
pub(super) struct Package {
    name: &'static str,
    programs: &'static [Program],
    /// Where a service of the package writes its process id; empty for a package without one.
    pid_file: &'static str,
}

pub(super) const REDIS: Package = Package {
    name: "redis-server",
    programs: &[places::REDIS],
    pid_file: "/run/redis/redis-server.pid",
};

pub(super) const PROMETHEUS: Package = Package {
    name: "prometheus",
    programs: &[places::PROMETHEUS, places::PROMTOOL],
    pid_file: "/run/prometheus/prometheus.pid",
};

pub(super) const NATS: Package = Package {
    name: "nats-server",
    programs: &[places::NATS],
    // There is none: only systemd starts it.
    pid_file: "/run/nats-server.pid",
};

/// The installer sees to it that no service comes with it.
pub(super) const POSTGRESQL: Package = Package {
    name: "postgresql",
    programs: &[places::POSTGRES],
    pid_file: "",
};

pub(super) const OPENSSL: Package = Package {
    name: "openssl",
    programs: &[places::OPENSSL],
    pid_file: "",
};

/// What runs Kafka.
pub(super) const JAVA: Package = Package {
    name: "default-jre-headless",
    programs: &[places::JAVA],
    pid_file: "",
};

/// What gets Kafka.
pub(super) const MAVEN: Package = Package {
    name: "maven",
    programs: &[Program {
        name: "mvn",
        variable: "MVN",
        versions: "",
    }],
    pid_file: "",
};

/// What makes virtual environments.
pub(super) const PYTHON: Package = Package {
    name: "python3-venv",
    programs: &[Program {
        name: "python3",
        variable: "OTLP_PYTHON",
        versions: "",
    }],
    pid_file: "",
};

impl Package {
    /// Where its programs are; it is installed when one of them is missing.
    pub(super) fn provide(&self, root: &Path) -> Result<Vec<PathBuf>, Missing> {
        if let Some(places) = self.find()? {
            return Ok(places);
        }
        println!("{}: not there yet", self.name);
        self.install(root)?;
        self.find()?.ok_or(Missing::NotInPath(self.name))
    }

    pub(super) fn is_there(&self) -> bool {
        self.find().is_ok_and(|found| found.is_some())
    }

    fn find(&self) -> Result<Option<Vec<PathBuf>>, Missing> {
        let found: Result<Option<_>, _> = self.programs.iter().map(Program::find).collect();
        Ok(found?)
    }

    pub(super) fn install(&self, root: &Path) -> Result<(), Missing> {
        let has_apt = places::in_own_path("apt-get").is_some();
        let rights = Rights::find().filter(|_| has_apt).ok_or(Missing::NoWay {
            package: self.name,
            variables: self.variables(),
        })?;
        let status = cargo::run(&mut self.install_command(root, rights))?;
        if status.success() {
            return Ok(());
        }
        let package = self.name;
        Err(Missing::NotInstalled { package, status })
    }

    fn variables(&self) -> String {
        let variables = self.programs.iter().map(|program| program.variable);
        variables.collect::<Vec<_>>().join(" and ")
    }

    fn install_command(&self, root: &Path, rights: Rights) -> Command {
        let mut command = rights.command("sh");
        command.args([INSTALL, self.name, self.pid_file]);
        command.current_dir(root);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_run_as_root_without_asking_for_a_password() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let words = |rights| {
            let command = REDIS.install_command(root, rights);
            let args = command
                .get_args()
                .map(|arg| arg.to_string_lossy().into_owned());
            let words: Vec<_> = args.collect();
            format!(
                "{} {}",
                command.get_program().to_string_lossy(),
                words.join(" ")
            )
        };
        let script = format!("{INSTALL} redis-server {}", REDIS.pid_file);
        assert_eq!(words(Rights::Own), format!("sh {script}"));
        assert_eq!(words(Rights::Sudo), format!("sudo -n sh {script}"));
        assert!(root.join(INSTALL).is_file());
    }

    #[test]
    fn whoever_has_the_programs_elsewhere_is_told_the_variables() {
        assert_eq!(PROMETHEUS.variables(), "PROMETHEUS and PROMTOOL");
    }
}
