//! What goes wrong with NATS, in words that name the setting.

use std::{path::Path, time::Duration};

/// Why a NATS server could not be asked, or what it refused.
///
/// What it says is shown by status and readiness, so it is one line with the whole reason; it
/// never holds a password, a token or a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// No server took the connection.
    #[error("cannot connect to {servers}: {reason}")]
    Connect {
        /// The addresses, without logins.
        servers: String,
        /// What the last of them said.
        reason: String,
    },
    /// The server does not know the login.
    #[error("{servers} refuses the login: {settings}")]
    Unauthorized {
        /// The addresses, without logins.
        servers: String,
        /// The settings that hold the login.
        settings: &'static str,
    },
    /// A file that the options name cannot be used.
    #[error("{reason}")]
    File {
        /// The setting, the file and what is wrong with it.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection to {servers} was lost")]
    Lost {
        /// The addresses, without logins.
        servers: String,
    },
    /// The server said nothing for too long.
    #[error("{servers} did not answer within {within:?}: {asked}{hint}")]
    NoAnswer {
        /// The addresses, without logins.
        servers: String,
        /// What it was asked.
        asked: String,
        /// How long it was waited for.
        within: Duration,
        /// What it has said against this connection, if anything.
        hint: String,
    },
    /// JetStream refused a question.
    #[error("{servers} refused {asked}: {reason}")]
    Refused {
        /// The addresses, without logins.
        servers: String,
        /// What it was asked.
        asked: String,
        /// What it said.
        reason: String,
    },
    /// The stream does not exist.
    #[error("there is no stream {stream:?} (see stream)")]
    NoStream {
        /// The stream.
        stream: String,
    },
    /// The consumer does not exist, and is not to be created.
    #[error("stream {stream:?} has no consumer {consumer:?} (see consumer and create_consumer)")]
    NoConsumer {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
    },
    /// The consumer exists, and is another than the options say.
    #[error("consumer {consumer:?} has {there}: see {setting}")]
    OtherConsumer {
        /// The consumer.
        consumer: String,
        /// The setting that differs.
        setting: &'static str,
        /// What the server has.
        there: String,
    },
}

impl NatsError {
    pub(crate) fn file(setting: &str, path: &Path, reason: &str) -> Self {
        let path = path.display();
        Self::File {
            reason: format!("{setting} {path} cannot be used: {reason}"),
        }
    }
}
