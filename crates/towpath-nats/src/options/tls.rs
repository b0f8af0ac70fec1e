//! How the connection is encrypted.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_nats::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
};
use serde::Deserialize;
use towpath_options::Problems;

use crate::NatsError;

/// How the connection to the server is encrypted.
///
/// Where the server asks for encryption it is used in any case, with the certificates of the
/// system; the options are for servers that have certificates of their own, or want one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[must_use]
pub struct TlsOptions {
    pub(crate) required: bool,
    pub(crate) first: bool,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

// === impl TlsOptions ===

impl TlsOptions {
    /// The connection must be encrypted.
    pub fn required() -> Self {
        Self {
            required: true,
            ..Self::default()
        }
    }

    /// Encryption comes before the server says anything: as the server's `handshake_first`.
    pub fn first(mut self) -> Self {
        self.first = true;
        self
    }

    /// A PEM file with the certificates to trust, instead of those of the system.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// PEM files with the certificate of this client and its key.
    pub fn client_cert(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.cert_file = Some(cert.into());
        self.key_file = Some(key.into());
        self
    }

    /// Whether anything is said about encryption.
    pub(crate) fn is_wanted(&self) -> bool {
        *self != Self::default()
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        match (&self.cert_file, &self.key_file) {
            (Some(_), None) => problems.add("cert_file", "needs a key_file"),
            (None, Some(_)) => problems.add("key_file", "needs a cert_file"),
            _ => {}
        }
    }

    /// Reads the files; blocks meanwhile.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, NatsError> {
        // Named, as a program may have another provider beside this one.
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| bad("tls", Path::new(""), &error))?
            .with_root_certificates(self.roots()?);
        let (Some(cert), Some(key)) = (&self.cert_file, &self.key_file) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates("tls.cert_file", cert)?;
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|e| bad("tls.key_file", key, &e))?;
        let config = builder.with_client_auth_cert(chain, private);
        config.map_err(|error| bad("tls.cert_file", cert, &error))
    }

    fn roots(&self) -> Result<RootCertStore, NatsError> {
        let mut roots = RootCertStore::empty();
        let Some(path) = &self.ca_file else {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            return Ok(roots);
        };
        for certificate in certificates("tls.ca_file", path)? {
            let added = roots.add(certificate);
            added.map_err(|error| bad("tls.ca_file", path, &error))?;
        }
        Ok(roots)
    }
}

fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, NatsError> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, pem::Error>>();
    let certificates = read().map_err(|error| bad(setting, path, &error))?;
    if certificates.is_empty() {
        let nothing = "it holds no certificate";
        return Err(bad(setting, path, &nothing));
    }
    Ok(certificates)
}

fn bad(setting: &str, path: &Path, error: &impl ToString) -> NatsError {
    NatsError::file(setting, path, &error.to_string())
}
