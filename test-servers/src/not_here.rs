//! Why a server did not start, and what a test does then.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::{env, fmt, io};

use crate::places::WrongPlace;

/// The environment variable that makes tests do without: `1` without any server, otherwise the
/// names of some, with commas between them.
pub const WITHOUT: &str = "TOWPATH_WITHOUT_SERVERS";

/// Why a server did not start; a problem of the machine, and not of what is tested.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotHere {
    /// The tests are told to do without it.
    Unwanted {
        /// Its name.
        server: &'static str,
    },
    /// It is not on this machine.
    Missing {
        /// Its name.
        server: &'static str,
        /// What would help.
        help: &'static str,
    },
    /// The place that somebody named is wrong.
    WrongPlace(WrongPlace),
    /// It could not be started.
    NotStarted {
        /// Its name.
        server: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It was started, and ended or did not answer.
    NoAnswer {
        /// Its name.
        server: &'static str,
        /// What it said meanwhile.
        log: String,
    },
}

/// Whether the tests are told to do without a server of this name, see [`WITHOUT`].
#[must_use]
pub fn is_unwanted(server: &str) -> bool {
    env::var(WITHOUT).is_ok_and(|value| names(&value, server))
}

/// What `find` finds of a server, where the tests are not told to do without.
pub(crate) fn wanted(
    server: &'static str,
    help: &'static str,
    find: impl FnOnce() -> Result<Option<PathBuf>, WrongPlace>,
) -> Result<PathBuf, NotHere> {
    if is_unwanted(server) {
        return Err(NotHere::Unwanted { server });
    }
    find()?.ok_or(NotHere::Missing { server, help })
}

fn names(value: &str, server: &str) -> bool {
    value == "1" || value.split(',').any(|name| name.trim() == server)
}

/// The server; or `None`, with a word why, where the tests are told to do without it.
///
/// # Panics
///
/// When it is not there for any other reason: a test that is not run proves nothing.
#[must_use]
#[track_caller]
pub fn or_not_run<T>(started: Result<T, NotHere>) -> Option<T> {
    match started {
        Ok(server) => Some(server),
        Err(error @ NotHere::Unwanted { .. }) => {
            eprintln!("not run: {error}");
            None
        }
        Err(error) => panic!("{}", with_causes(&error)),
    }
}

fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let levels: Vec<_> = causes.map(ToString::to_string).collect();
    levels.join(": ")
}

// === impl NotHere ===

impl fmt::Display for NotHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwanted { server } => write!(f, "{WITHOUT} names {server}"),
            Self::Missing { server, help } => write!(
                f,
                "{server} is missing: {help}, or {WITHOUT}={server} does without its tests"
            ),
            Self::WrongPlace(wrong) => wrong.fmt(f),
            Self::NotStarted { server, .. } => write!(f, "{server} does not start"),
            Self::NoAnswer { server, log } => {
                write!(f, "{server} does not answer; it said:\n{log}")
            }
        }
    }
}

impl StdError for NotHere {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NotStarted { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<WrongPlace> for NotHere {
    fn from(wrong: WrongPlace) -> Self {
        Self::WrongPlace(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_do_without_what_is_named_or_without_everything() {
        assert!(names("1", "jaeger"));
        assert!(names("redis, jaeger", "jaeger"));
        assert!(!names("redis", "jaeger") && !names("", "jaeger") && !names("0", "jaeger"));
    }

    #[test]
    #[should_panic(expected = "jaeger is missing: build it, or TOWPATH_WITHOUT_SERVERS=jaeger")]
    fn a_missing_server_fails_a_test_that_is_to_run() {
        let help = "build it";
        let missing = NotHere::Missing {
            server: "jaeger",
            help,
        };
        assert!(or_not_run::<()>(Err(missing)).is_none());
    }

    #[test]
    fn a_test_that_is_to_do_without_gets_nothing() {
        let unwanted = NotHere::Unwanted { server: "jaeger" };
        assert!(or_not_run::<()>(Err(unwanted)).is_none());
        assert_eq!(or_not_run(Ok(7)), Some(7));
    }
}
