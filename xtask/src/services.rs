//! `cargo xtask services`: puts the servers in place that some tests start for themselves.
//!
//! Nothing is started here: each test runs a private server, and ends it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::cargo;
use crate::error::chain;

mod missing;

use missing::Missing;

/// The tests that need servers report that they were not run, where this is set to 1.
pub(crate) const WITHOUT: (&str, &str) = ("TOWPATH_WITHOUT_SERVERS", "1");

/// A program that tests start.
#[derive(Debug)]
struct Server {
    program: &'static str,
    /// Names its place, where that is not in the path.
    variable: &'static str,
    /// What Debian and its kin call it.
    package: &'static str,
    /// Of the service that comes with the package.
    pid_file: &'static str,
}

const SERVERS: [Server; 1] = [Server {
    program: "redis-server",
    variable: "REDIS_SERVER",
    package: "redis-server",
    pid_file: "/run/redis/redis-server.pid",
}];

/// From the root of the checkout; written for root.
const INSTALL: &str = "xtask/src/services/install.sh";

/// How a program is run as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    Own,
    Sudo,
}

/// Puts in place what is missing; succeeds when all servers are there.
pub(crate) fn run(root: &Path) -> ExitCode {
    match provide(root) {
        Ok(()) => ExitCode::SUCCESS,
        Err(missing) => {
            eprintln!("{}", chain(&missing));
            ExitCode::FAILURE
        }
    }
}

/// Puts each server in place that is missing, and prints where they are.
pub(crate) fn provide(root: &Path) -> Result<(), Missing> {
    for server in &SERVERS {
        let place = server.provide(root)?;
        println!("{}: {}", server.program, place.display());
    }
    Ok(())
}

impl Server {
    fn provide(&self, root: &Path) -> Result<PathBuf, Missing> {
        let named = std::env::var_os(self.variable);
        if let Some(place) = self.place(named.as_deref(), &path())? {
            return Ok(place);
        }
        println!("{}: not there yet", self.program);
        self.install(root)?;
        in_path(self.program, &path()).ok_or(Missing::NotInPath(self.program))
    }

    /// Where it is already: at the place that is named, or in the path.
    fn place(&self, named: Option<&OsStr>, path: &OsStr) -> Result<Option<PathBuf>, Missing> {
        let Some(place) = named.map(PathBuf::from) else {
            return Ok(in_path(self.program, path));
        };
        let variable = self.variable;
        if place.is_file() {
            Ok(Some(place))
        } else {
            Err(Missing::NotAtNamedPlace { variable, place })
        }
    }

    fn install(&self, root: &Path) -> Result<(), Missing> {
        let has_apt = in_path("apt-get", &path()).is_some();
        let rights = Rights::find().filter(|_| has_apt).ok_or(Missing::NoWay {
            program: self.program,
            variable: self.variable,
        })?;
        let status = cargo::run(&mut self.install_command(root, rights))?;
        if status.success() {
            return Ok(());
        }
        let package = self.package;
        Err(Missing::NotInstalled { package, status })
    }

    fn install_command(&self, root: &Path, rights: Rights) -> Command {
        let mut command = rights.command("sh");
        command.args([INSTALL, self.package, self.pid_file]);
        command.current_dir(root);
        command
    }
}

// === impl Rights ===

impl Rights {
    fn find() -> Option<Self> {
        if is_root() {
            return Some(Self::Own);
        }
        cargo::works(&mut Self::Sudo.command("true")).then_some(Self::Sudo)
    }

    /// A program with these rights; nobody is asked for a password.
    fn command(self, program: &str) -> Command {
        match self {
            Self::Own => Command::new(program),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", program]);
                command
            }
        }
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

fn in_path(program: &str, path: &OsStr) -> Option<PathBuf> {
    let mut places = std::env::split_paths(path).map(|dir| dir.join(program));
    places.find(|place| place.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This package's own manifest stands in for a program.
    const FILE: Server = Server {
        program: "Cargo.toml",
        ..SERVERS[0]
    };

    const DIR: &str = env!("CARGO_MANIFEST_DIR");

    #[test]
    fn a_program_that_is_there_is_not_installed() {
        let found = FILE.place(None, DIR.as_ref()).unwrap();
        assert_eq!(found, Some(Path::new(DIR).join("Cargo.toml")));
        let missing = SERVERS[0].place(None, DIR.as_ref()).unwrap();
        assert_eq!(missing, None);
    }

    #[test]
    fn the_named_place_counts_and_the_path_does_not() {
        let named = Path::new(DIR).join("src/main.rs");
        let found = FILE.place(Some(named.as_os_str()), DIR.as_ref()).unwrap();
        assert_eq!(found, Some(named));
        let gone = FILE.place(Some("gone".as_ref()), DIR.as_ref()).unwrap_err();
        assert_eq!(
            gone.to_string(),
            "REDIS_SERVER names gone, which is no file"
        );
    }

    #[test]
    fn the_script_is_run_as_root_without_asking_for_a_password() {
        let words = |rights| {
            let command = FILE.install_command(Path::new(DIR), rights);
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
        let script = format!("{INSTALL} redis-server {}", FILE.pid_file);
        assert_eq!(words(Rights::Own), format!("sh {script}"));
        assert_eq!(words(Rights::Sudo), format!("sudo -n sh {script}"));
        assert!(Path::new(DIR).parent().unwrap().join(INSTALL).is_file());
    }
}
