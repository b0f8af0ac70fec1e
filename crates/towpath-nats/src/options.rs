//! How a NATS server is reached: addresses, credentials, TLS, deadlines.

mod login;
mod servers;
mod tls;

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;
use towpath_options::{InvalidOptions, Problems, Secret, duration};

pub(crate) use login::Login;
pub use servers::Servers;
pub use tls::TlsOptions;

/// How a NATS server is reached.
///
/// An address alone is enough where the server asks for nothing:
///
/// ```
/// use towpath_nats::NatsOptions;
///
/// let plain = NatsOptions::from("nats://localhost:4222");
/// assert!(plain.validate().is_ok());
///
/// let with_password = NatsOptions::from("nats://one:4222,nats://two:4222")
///     .user("orders", "hush")
///     .require_tls();
/// assert!(with_password.validate().is_ok());
/// assert!(!format!("{with_password:?}").contains("hush"));
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use]
pub struct NatsOptions {
    pub(crate) servers: Servers,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    nkey_file: Option<PathBuf>,
    #[serde(default)]
    credentials_file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) tls: TlsOptions,
    #[serde(default)]
    pub(crate) domain: Option<String>,
    #[serde(default)]
    pub(crate) inbox_prefix: Option<String>,
    #[serde(default = "five_seconds", with = "duration")]
    pub(crate) connect_timeout: Duration,
    #[serde(default = "five_seconds", with = "duration")]
    pub(crate) answer_timeout: Duration,
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

// === impl NatsOptions ===

impl NatsOptions {
    /// The servers of a cluster, or the only one there is.
    ///
    /// An address may hold a user and a password, or a token: `nats://me:secret@host:4222`.
    /// With `tls://` the connection must be encrypted.
    pub fn new(servers: impl Into<Servers>) -> Self {
        Self {
            servers: servers.into(),
            name: None,
            user: None,
            password: None,
            token: None,
            nkey_file: None,
            credentials_file: None,
            tls: TlsOptions::default(),
            domain: None,
            inbox_prefix: None,
            connect_timeout: five_seconds(),
            answer_timeout: five_seconds(),
        }
    }

    /// The name that the server shows for the connection.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A user and a password.
    pub fn user(mut self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.user = Some(user.into());
        self.password = Some(password.into());
        self
    }

    /// A token.
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// A file with the seed of an nkey; read again for each connection.
    pub fn nkey_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.nkey_file = Some(path.into());
        self
    }

    /// A credentials file, with a JWT and the seed of its nkey; read again for each connection.
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials_file = Some(path.into());
        self
    }

    /// How the connection is encrypted.
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// The connection must be encrypted, with the certificates of the system.
    pub fn require_tls(mut self) -> Self {
        self.tls.required = true;
        self
    }

    /// The JetStream domain, where it is another than that of the server.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// What the subjects begin with on which answers come, instead of `_INBOX`: for users who
    /// may not subscribe to that.
    pub fn inbox_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.inbox_prefix = Some(prefix.into());
        self
    }

    /// How long connecting to one server may take; 5 s unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the server may take for one answer: to a question, an outcome or a message
    /// that is published; 5 s unless set.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Looks for everything that is wrong.
    ///
    /// # Errors
    /// Fails with all problems, each with its path.
    pub fn validate(&self) -> Result<(), InvalidOptions> {
        let mut problems = Problems::new();
        self.check(&mut problems);
        problems.into_result()
    }

    pub(crate) fn check(&self, problems: &mut Problems) {
        self.servers.check(problems);
        self.check_login(problems);
        problems.within("tls", |problems| self.tls.check(problems));
        problems.expect_time("connect_timeout", self.connect_timeout);
        problems.expect_time("answer_timeout", self.answer_timeout);
        if let Some(domain) = &self.domain {
            crate::names::check_name(problems, "domain", domain);
        }
        if let Some(prefix) = &self.inbox_prefix {
            crate::names::check_subject(problems, "inbox_prefix", prefix);
        }
    }
}

impl<S: Into<Servers>> From<S> for NatsOptions {
    fn from(servers: S) -> Self {
        Self::new(servers)
    }
}

#[cfg(test)]
mod tests;
