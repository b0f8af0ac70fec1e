//! Why a server is not there.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::error::Error;

/// A server that could not be put in place; says what would help.
#[derive(Debug)]
pub(crate) enum Missing {
    /// The place that somebody named is wrong.
    NotAtNamedPlace {
        variable: &'static str,
        place: PathBuf,
    },
    /// There is nothing here that could install it.
    NoWay {
        program: &'static str,
        variable: &'static str,
    },
    /// The installer ended with an error; it has said why.
    NotInstalled {
        package: &'static str,
        status: ExitStatus,
    },
    /// It was installed, and is somewhere else.
    NotInPath(&'static str),
    /// The installer did not start.
    Installer(Error),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAtNamedPlace { variable, place } => {
                write!(f, "{variable} names {}, which is no file", place.display())
            }
            Self::NoWay { program, variable } => write!(
                f,
                "{program} is missing, and here is no apt-get that may install it (as root, or \
                 with a sudo that does not ask): install it, or name its place in {variable}"
            ),
            Self::NotInstalled { package, status } => {
                write!(f, "the package {package} could not be installed ({status})")
            }
            Self::NotInPath(program) => write!(f, "{program} is installed, but not in the path"),
            Self::Installer(_) => f.write_str("the installer does not start"),
        }
    }
}

impl StdError for Missing {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Installer(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for Missing {
    fn from(error: Error) -> Self {
        Self::Installer(error)
    }
}
