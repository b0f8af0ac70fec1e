//! One request to a collector, by gRPC or HTTP, on one client.

mod grpc;
mod http1;

use std::{fmt, io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use towpath_core::BoxError;

use super::config::{Protocol, Target};

/// The longest answer that is read.
const ANSWER: usize = 1 << 20;

/// How long a connection may be silent while an answer is due before it is asked whether it
/// is alive: one that died without a word would be waited for, request by request.
const ALIVE: Duration = Duration::from_secs(20);

#[cfg(not(feature = "otlp-tls"))]
type Connector = HttpConnector;
#[cfg(feature = "otlp-tls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// Sends requests to one collector.
pub(super) struct Transport {
    client: Client<Connector, Full<Bytes>>,
    target: Target,
}

/// Why a request was not answered, or not well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum SendError {
    #[error("the collector cannot be reached")]
    Unreachable { source: BoxError },
    #[error(
        "the connection to the collector breaks; it was spoken to by {protocol}: if it is for {}, \
         set OTEL_EXPORTER_OTLP_PROTOCOL={} or `.protocol(Protocol::{:?})`",
        .protocol.other(), .protocol.other(), .protocol.other()
    )]
    Broken {
        protocol: Protocol,
        source: BoxError,
    },
    #[error("the collector does not answer")]
    Silent,
    #[error("the collector takes nothing of the kind there: it answers `{answer}`")]
    Unwanted { answer: String },
    #[error("the collector answers `{answer}`")]
    Refused {
        answer: String,
        /// After how long it may be tried again; `None` if that is of no use.
        retry: Option<Duration>,
    },
}

// === impl Transport ===

impl Transport {
    /// Connects when there is something to send. Its tasks run on the runtime that sends.
    ///
    /// # Errors
    /// Fails when the certificates that the system trusts cannot be read.
    pub(super) fn new(target: Target) -> io::Result<Self> {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(target.protocol == Protocol::Grpc)
            .http2_keep_alive_interval(ALIVE)
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .build(connector(&target)?);
        Ok(Self { client, target })
    }

    pub(super) fn address(&self) -> tracing::field::DisplayValue<&Uri> {
        tracing::field::display(&self.target.uri)
    }

    /// Makes one attempt, and returns the message that answers it.
    ///
    /// Cancel safe.
    pub(super) async fn send(&self, message: Bytes) -> Result<Bytes, SendError> {
        let sent = tokio::time::timeout(self.target.timeout, self.exchange(message)).await;
        sent.unwrap_or(Err(SendError::Silent))
    }

    async fn exchange(&self, message: Bytes) -> Result<Bytes, SendError> {
        let response = self.client.request(self.request(message)).await;
        let response = response.map_err(|error| self.failed(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER).collect().await;
        let body = body.map_err(|source| self.broken(source))?;
        let answer = Response::from_parts(head, body);
        match self.target.protocol {
            Protocol::Grpc => grpc::answer(answer),
            Protocol::Http => http1::answer(answer),
        }
    }

    /// What the client says itself is no more than that something went wrong.
    fn failed(&self, error: &hyper_util::client::legacy::Error) -> SendError {
        let mut cause: &(dyn std::error::Error + 'static) = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let source = cause.to_string().into();
        if error.is_connect() {
            return SendError::Unreachable { source };
        }
        self.broken(source)
    }

    fn broken(&self, source: BoxError) -> SendError {
        let protocol = self.target.protocol;
        SendError::Broken { protocol, source }
    }

    fn request(&self, message: Bytes) -> Request<Full<Bytes>> {
        let (headers, body) = match self.target.protocol {
            Protocol::Grpc => grpc::request(&message, &self.target),
            Protocol::Http => http1::request(message, &self.target),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.target.uri.clone();
        *request.headers_mut() = headers;
        request.headers_mut().extend(self.target.headers.clone());
        request
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transport").field(&self.target.uri).finish()
    }
}

#[cfg(not(feature = "otlp-tls"))]
#[expect(clippy::unnecessary_wraps, reason = "with TLS it can fail")]
fn connector(target: &Target) -> io::Result<Connector> {
    Ok(tcp(target.timeout))
}

/// With the certificates that the system trusts, where they are needed.
#[cfg(feature = "otlp-tls")]
fn connector(target: &Target) -> io::Result<Connector> {
    let mut tcp = tcp(target.timeout);
    tcp.enforce_http(false);
    let provider = rustls::crypto::ring::default_provider();
    let builder = hyper_rustls::HttpsConnectorBuilder::new();
    let builder = if target.uri.scheme_str() == Some("https") {
        builder.with_provider_and_native_roots(provider)?
    } else {
        builder.with_tls_config(trusting_nobody(provider)?)
    };
    let builder = builder.https_or_http().enable_all_versions();
    Ok(builder.wrap_connector(tcp))
}

#[cfg(feature = "otlp-tls")]
fn trusting_nobody(provider: rustls::crypto::CryptoProvider) -> io::Result<rustls::ClientConfig> {
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(config)
}

fn tcp(timeout: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(timeout));
    tcp.set_nodelay(true);
    tcp
}

// === impl SendError ===

impl SendError {
    /// After how long it may be tried again; `None` if that is of no use.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Silent => Some(Duration::ZERO),
            Self::Refused { retry, .. } => *retry,
            Self::Unwanted { .. } => None,
        }
    }

    /// Whether nobody has answered at all.
    pub(super) fn is_silence(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::Unwanted { .. })
    }
}

fn common_headers(content_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let agent = concat!("towpath/", env!("CARGO_PKG_VERSION"));
    headers.insert(
        http::header::USER_AGENT,
        http::HeaderValue::from_static(agent),
    );
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static(content_type),
    );
    headers
}

/// How long the collector asks to be left alone: a number of seconds, as most write it.
fn retry_header(headers: &HeaderMap) -> Duration {
    let asked = headers.get(http::header::RETRY_AFTER);
    let seconds = asked.and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

/// The message compressed; nothing if that cannot be done.
fn gzip(message: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(message).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests;
