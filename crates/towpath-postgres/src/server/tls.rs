//! Encrypted connections, where the feature is on.

use std::path::Path;

use tokio_postgres::{CancelToken, Client, Config, Connection, Error, Socket, tls::MakeTlsConnect};

/// What connects: by TLS where the server has it or the address asks for it.
#[cfg(feature = "tls")]
type Connect = tokio_postgres_rustls::MakeRustlsConnect;
#[cfg(not(feature = "tls"))]
type Connect = tokio_postgres::NoTls;

/// The half of a connection that has to be polled.
pub(crate) type Wire = Connection<Socket, <Connect as MakeTlsConnect<Socket>>::Stream>;

/// Connects, and cancels what a connection works on.
#[derive(Clone)]
pub(crate) struct Tls(Connect);

impl Tls {
    /// Connects plainly.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn trusting(ca: Option<&Path>) -> Result<Self, String> {
        match ca {
            Some(_) => Err("it needs the feature `tls`".to_owned()),
            None => Ok(Self(tokio_postgres::NoTls)),
        }
    }

    /// Trusts whom the file names, or else whom the system trusts.
    #[cfg(feature = "tls")]
    pub(crate) fn trusting(ca: Option<&Path>) -> Result<Self, String> {
        let roots = match ca {
            Some(file) => roots_of(file)?,
            None => roots_of_the_system(),
        };
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Connect::new(config)))
    }

    pub(crate) async fn connect(&self, config: &Config) -> Result<(Client, Wire), Error> {
        config.connect(Connect::clone(&self.0)).await
    }

    pub(crate) async fn cancel(&self, token: &CancelToken) -> Result<(), Error> {
        token.cancel_query(Connect::clone(&self.0)).await
    }
}

#[cfg(feature = "tls")]
fn roots_of(file: &Path) -> Result<rustls::RootCertStore, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in found {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        return Err(unreadable(&"holds no certificate"));
    }
    Ok(roots)
}

#[cfg(feature = "tls")]
fn roots_of_the_system() -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    // What cannot be read vouches for nobody: the handshake says so.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
