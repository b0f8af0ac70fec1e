//! Why telemetry cannot be set up.

use std::{fmt, io};

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Values that cannot be used: all of them.
    #[error("telemetry cannot be set up: {}", Listed(.problems))]
    Invalid {
        /// What is wrong with each.
        problems: Vec<Problem>,
    },
    /// The certificates that the system trusts could not be read: without them there is no
    /// TLS.
    #[error("the certificates that the system trusts could not be read")]
    Certificates {
        /// Why.
        source: io::Error,
    },
    /// The thread that sends could not be started.
    #[error("the thread that sends telemetry could not be started")]
    Thread {
        /// Why.
        source: io::Error,
    },
}

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The variable, or the method of [`Setup`](super::Setup).
    pub name: String,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub expected: String,
}

struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value,
            expected,
        } = self;
        write!(f, "{name} is `{value}` but must be {expected}")
    }
}

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
