//! Who connects, and how it is kept secret.

use std::path::PathBuf;

use rdkafka::ClientConfig;
use serde::Deserialize;
use towpath_options::{Problems, Secret};

/// Who connects, and how it is kept secret. The default is neither: plain TCP, and no name.
///
/// ```
/// use towpath_kafka::{Protocol, Security};
///
/// let security = Security::plain("app", "hush").protocol(Protocol::SaslPlaintext);
/// assert!(!format!("{security:?}").contains("hush"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Security {
    /// How to connect.
    pub protocol: Protocol,
    /// How the password is proved, where the protocol has one.
    pub mechanism: Mechanism,
    /// The user, for the protocols with SASL.
    pub user: Option<String>,
    /// The password of the user.
    pub password: Option<Secret>,
    /// The certificates to trust, as PEM; those of the system otherwise.
    pub ca_file: Option<PathBuf>,
    /// The certificate to show, as PEM.
    pub certificate_file: Option<PathBuf>,
    /// Its key, as PEM.
    pub key_file: Option<PathBuf>,
    /// The password of the key.
    pub key_password: Option<Secret>,
}

/// How to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Protocol {
    /// TCP, and nobody asks who it is.
    #[default]
    Plaintext,
    /// TLS; wants the feature `tls`.
    Tls,
    /// TCP with a user and a password.
    SaslPlaintext,
    /// TLS with a user and a password; wants the feature `tls`.
    SaslTls,
}

/// How a password is proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[non_exhaustive]
pub enum Mechanism {
    /// It is sent as it is.
    #[default]
    #[serde(rename = "PLAIN")]
    Plain,
    /// By SCRAM with SHA-256; wants the feature `tls`.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// By SCRAM with SHA-512; wants the feature `tls`.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

// === impl Security ===

impl Security {
    /// A user with a password over TLS.
    pub fn plain(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self {
            protocol: Protocol::SaslTls,
            user: Some(user.into()),
            password: Some(password.into()),
            ..Self::default()
        }
    }

    /// TLS without a user.
    pub fn tls() -> Self {
        Self {
            protocol: Protocol::Tls,
            ..Self::default()
        }
    }

    /// Connects so.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Proves the password so.
    #[must_use]
    pub fn mechanism(mut self, mechanism: Mechanism) -> Self {
        self.mechanism = mechanism;
        self
    }

    /// Trusts the certificates of this file and no others.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Shows this certificate, with its key.
    #[must_use]
    pub fn certificate(mut self, file: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.certificate_file = Some(file.into());
        self.key_file = Some(key.into());
        self
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        let has_tls = cfg!(feature = "tls");
        if self.protocol.is_tls() && !has_tls {
            problems.add("protocol", "wants the feature `tls` of towpath-kafka");
        }
        if self.protocol.is_sasl() {
            self.check_user(problems);
            if self.mechanism != Mechanism::Plain && !has_tls {
                problems.add(
                    "mechanism",
                    "SCRAM wants the feature `tls` of towpath-kafka",
                );
            }
        } else if self.user.is_some() || self.password.is_some() {
            problems.add("user", "wants the protocol `sasl_plaintext` or `sasl_tls`");
        }
        if !self.protocol.is_tls() && self.has_files() {
            problems.add("ca_file", "wants the protocol `tls` or `sasl_tls`");
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            problems.add("key_file", "goes with `certificate_file`, and that with it");
        }
    }

    fn check_user(&self, problems: &mut Problems) {
        if self.user.as_ref().is_none_or(String::is_empty) {
            problems.add("user", "is wanted by the protocol");
        }
        if self.password.as_ref().is_none_or(|p| p.reveal().is_empty()) {
            problems.add("password", "is wanted by the protocol");
        }
    }

    fn has_files(&self) -> bool {
        self.ca_file.is_some() || self.certificate_file.is_some()
    }

    pub(super) fn configure(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol.word());
        if self.protocol.is_sasl() {
            config.set("sasl.mechanism", self.mechanism.word());
            config.set("sasl.username", self.user.as_deref().unwrap_or_default());
            let password = self.password.as_ref().map_or("", Secret::reveal);
            config.set("sasl.password", password);
        }
        let files = [
            ("ssl.ca.location", &self.ca_file),
            ("ssl.certificate.location", &self.certificate_file),
            ("ssl.key.location", &self.key_file),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                config.set(name, file.to_string_lossy());
            }
        }
        if let Some(password) = &self.key_password {
            config.set("ssl.key.password", password.reveal());
        }
    }

    /// A text of the client, without what is secret here.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let secrets = [&self.password, &self.key_password].into_iter().flatten();
        secrets.fold(text.to_owned(), |text, secret| match secret.reveal() {
            "" => text,
            secret => text.replace(secret, "***"),
        })
    }
}

// === impl Protocol ===

impl Protocol {
    fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::SaslTls)
    }

    fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslTls)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Tls => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslTls => "sasl_ssl",
        }
    }
}

// === impl Mechanism ===

impl Mechanism {
    fn word(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}
