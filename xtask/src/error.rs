//! What can go wrong in xtask itself, as opposed to in what it checks.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A failure of the tool; prints one level, the cause is in `source()`.
#[derive(Debug)]
pub(crate) enum Error {
    /// A file or a directory of the checkout could not be read or written.
    File { path: PathBuf, source: io::Error },
    /// A program could not be started.
    Start { program: String, source: io::Error },
    /// `cargo metadata` ended with an error and said this.
    Metadata { stderr: String },
    /// `cargo metadata` printed something that is no JSON.
    MetadataJson { source: serde_json::Error },
    /// `cargo metadata` left out a field that it documents.
    MetadataField { field: &'static str },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "cannot use {}", path.display()),
            Self::Start { program, .. } => write!(f, "cannot start {program}"),
            Self::Metadata { stderr } => write!(f, "cargo metadata failed: {}", stderr.trim()),
            Self::MetadataJson { .. } => f.write_str("cargo metadata printed no JSON"),
            Self::MetadataField { field } => write!(f, "cargo metadata has no field {field}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::File { source, .. } | Self::Start { source, .. } => Some(source),
            Self::MetadataJson { source } => Some(source),
            Self::Metadata { .. } | Self::MetadataField { .. } => None,
        }
    }
}

/// The error and all its causes on one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let levels: Vec<String> = causes.map(ToString::to_string).collect();
    levels.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_each_cause_once() {
        let error = Error::Start {
            program: "cargo".to_owned(),
            source: io::Error::other("no such file"),
        };
        assert_eq!(chain(&error), "cannot start cargo: no such file");
    }
}
