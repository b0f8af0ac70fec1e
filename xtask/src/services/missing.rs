//! Why a server is not there.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;

use towpath_test_servers::NotHere;
use towpath_test_servers::places::WrongPlace;

use crate::error::Error;

/// A server that could not be put in place; says what would help.
#[derive(Debug)]
pub(crate) enum Missing {
    /// The place that somebody named is wrong.
    WrongPlace(WrongPlace),
    /// There is nothing here that could install it.
    NoWay {
        package: &'static str,
        variables: String,
    },
    /// The installer ended with an error; it has said why.
    NotInstalled {
        package: &'static str,
        status: ExitStatus,
    },
    /// It was installed, and is somewhere else.
    NotInPath(&'static str),
    /// There is nothing here that could build Jaeger.
    NoGo,
    /// Go does not get the sources.
    NoModule {
        module: &'static str,
        reason: String,
    },
    /// What builds it ended with an error; it has said why.
    NotBuilt {
        what: &'static str,
        status: ExitStatus,
    },
    /// It is there, but does not work.
    NotWorking { what: &'static str, source: NotHere },
    /// The interpreter that somebody named lacks something.
    Incomplete {
        variable: &'static str,
        place: PathBuf,
    },
    /// Nobody knows where to keep what is built.
    NoCache,
    /// The cache folder is of no use.
    Cache(Error),
    /// The installer did not start.
    Installer(Error),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongPlace(wrong) => wrong.fmt(f),
            Self::NoWay { package, variables } => write!(
                f,
                "the package {package} is missing, and here is no apt-get that may install it \
                 (as root, or with a sudo that does not ask): install it, or name the place of \
                 what it holds in {variables}"
            ),
            Self::NotInstalled { package, status } => {
                write!(f, "the package {package} could not be installed ({status})")
            }
            Self::NotInPath(program) => write!(f, "{program} is installed, but not in the path"),
            Self::NoGo => f.write_str(
                "it is built with Go, and here is no `go` in the path: install Go, or name the \
                 place of a Jaeger 2 in JAEGER",
            ),
            Self::NoModule { module, reason } => {
                write!(f, "Go does not get {module}: {}", reason.trim())
            }
            Self::NotBuilt { what, status } => write!(f, "{what} could not be built ({status})"),
            Self::NotWorking { what, .. } => write!(f, "{what} is there, but does not work"),
            Self::Incomplete { variable, place } => {
                let place = place.display();
                write!(
                    f,
                    "{variable} names {place}, which lacks opentelemetry-proto or grpcio"
                )
            }
            Self::NoCache => {
                f.write_str("there is no folder to keep it in: name one in TOWPATH_CACHE")
            }
            Self::Cache(_) => f.write_str("it cannot be kept"),
            Self::Installer(_) => f.write_str("the installer does not start"),
        }
    }
}

impl StdError for Missing {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NotWorking { source, .. } => Some(source),
            Self::Cache(error) | Self::Installer(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for Missing {
    fn from(error: Error) -> Self {
        Self::Installer(error)
    }
}

impl From<WrongPlace> for Missing {
    fn from(wrong: WrongPlace) -> Self {
        Self::WrongPlace(wrong)
    }
}
