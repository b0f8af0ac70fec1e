//! Where a signal is sent.

use std::{fmt, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{
    Given, Protocol,
    variables::{Variables, pairs},
};

/// How long one attempt may take, by default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a signal is sent, and how.
#[derive(Clone, PartialEq)]
pub(in crate::otlp) struct Target {
    /// Whole, with the path of the signal.
    pub(in crate::otlp) uri: Uri,
    pub(in crate::otlp) protocol: Protocol,
    pub(in crate::otlp) headers: HeaderMap,
    /// Of one attempt.
    pub(in crate::otlp) timeout: Duration,
    pub(in crate::otlp) gzip: bool,
}

/// An address as somebody has written it.
struct Address {
    name: String,
    text: String,
    /// Whether it is of this signal alone: then it is taken as it is.
    own: bool,
}

/// Where the signal is sent; `None` if it is not.
pub(super) fn read(signal: &str, given: &Given, from: &mut Variables<'_>) -> Option<Target> {
    let wanted = is_wanted(signal, from);
    let address = address(signal, given, from);
    let protocol = protocol(signal, given, address.as_ref(), from);
    let target = Target {
        uri: uri(signal, address, protocol, from).unwrap_or_default(),
        protocol,
        headers: headers(signal, given, from),
        timeout: timeout(signal, given, from),
        gzip: gzip(signal, given, from),
    };
    wanted.then_some(target)
}

fn is_wanted(signal: &str, from: &mut Variables<'_>) -> bool {
    let name = format!("OTEL_{signal}_EXPORTER");
    let expected = "`otlp` or `none`";
    from.read(&[name], expected, |value| match value {
        "otlp" => Some(true),
        "none" => Some(false),
        _ => None,
    })
    .unwrap_or(true)
}

/// The variable of the signal, and the one of all signals.
fn names(signal: &str, what: &str) -> [String; 2] {
    [
        format!("OTEL_EXPORTER_OTLP_{signal}_{what}"),
        format!("OTEL_EXPORTER_OTLP_{what}"),
    ]
}

fn address(signal: &str, given: &Given, from: &Variables<'_>) -> Option<Address> {
    if let Some(text) = &given.endpoint {
        return Some(Address {
            name: "Setup::endpoint".to_owned(),
            text: text.trim().to_owned(),
            own: false,
        });
    }
    let names = names(signal, "ENDPOINT");
    let (name, text) = from.first(&names)?;
    let own = name == names[0];
    Some(Address { name, text, own })
}

/// As told; gRPC where the address has the port that collectors listen on for that; HTTP
/// otherwise, as the specification has it.
fn protocol(
    signal: &str,
    given: &Given,
    address: Option<&Address>,
    from: &mut Variables<'_>,
) -> Protocol {
    let expected = "`grpc` or `http/protobuf`";
    let told = from.read(&names(signal, "PROTOCOL"), expected, |value| match value {
        "grpc" => Some(Protocol::Grpc),
        "http/protobuf" => Some(Protocol::Http),
        _ => None,
    });
    let by_port = || {
        let uri: Uri = with_scheme(&address?.text).parse().ok()?;
        (uri.port_u16() == Some(4317)).then_some(Protocol::Grpc)
    };
    given
        .protocol
        .or(told)
        .or_else(by_port)
        .unwrap_or(Protocol::Http)
}

fn uri(
    signal: &str,
    address: Option<Address>,
    protocol: Protocol,
    from: &mut Variables<'_>,
) -> Option<Uri> {
    let address = address.unwrap_or_else(|| Address {
        name: String::new(),
        text: default_address(protocol).to_owned(),
        own: false,
    });
    let uri = whole(signal, &address, protocol).and_then(|uri| uri.parse::<Uri>().ok());
    let uri = uri.filter(|uri| uri.host().is_some());
    match uri.as_ref().map(|uri| uri.scheme_str()) {
        Some(Some("http")) => return uri,
        Some(Some("https")) if cfg!(feature = "otlp-tls") => return uri,
        Some(Some("https")) => from.problem(
            address.name,
            address.text,
            "an `http` address: `https` needs the feature `otlp-tls` of towpath-telemetry",
        ),
        _ => from.problem(
            address.name,
            address.text,
            "an address like `http://localhost:4317`",
        ),
    }
    None
}

fn default_address(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Grpc => "http://localhost:4317",
        Protocol::Http => "http://localhost:4318",
    }
}

fn with_scheme(text: &str) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    format!("http://{text}")
}

/// With the path of the signal, unless the address has one for it.
fn whole(signal: &str, address: &Address, protocol: Protocol) -> Option<String> {
    let text = with_scheme(&address.text);
    let base = text.trim_end_matches('/');
    match protocol {
        Protocol::Grpc => {
            let uri: Uri = text.parse().ok()?;
            let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
            Some(format!("{scheme}://{authority}{}", service(signal)))
        }
        Protocol::Http if address.own => Some(text),
        Protocol::Http => Some(format!("{base}/v1/{}", signal.to_ascii_lowercase())),
    }
}

fn service(signal: &str) -> &'static str {
    match signal {
        "TRACES" => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        "LOGS" => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        _ => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}

/// Those of all signals, those of this one, and those that the code gives; later ones win.
fn headers(signal: &str, given: &Given, from: &mut Variables<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let [own, all] = names(signal, "HEADERS");
    let expected = "names and values of headers: `name=value,name2=value2`";
    for name in [all, own] {
        // Not shown: keys are in there.
        let shown = "..";
        let Some(text) = from.text(&name) else {
            continue;
        };
        match pairs(&text).and_then(header_map) {
            Some(read) => headers.extend(read),
            None => from.problem(name, shown, expected),
        }
    }
    match header_map(given.headers.clone()) {
        Some(read) => headers.extend(read),
        None => from.problem("Setup::header", "..", expected),
    }
    headers
}

fn header_map(pairs: Vec<(String, String)>) -> Option<HeaderMap> {
    let pairs = pairs.into_iter().map(|(name, value)| {
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    });
    pairs.collect()
}

fn timeout(signal: &str, given: &Given, from: &mut Variables<'_>) -> Duration {
    let told = from.first_millis(&names(signal, "TIMEOUT"));
    given.timeout.or(told).unwrap_or(TIMEOUT)
}

fn gzip(signal: &str, given: &Given, from: &mut Variables<'_>) -> bool {
    let expected = "`gzip` or `none`";
    let told = from.read(
        &names(signal, "COMPRESSION"),
        expected,
        |value| match value {
            "gzip" => Some(true),
            "none" => Some(false),
            _ => None,
        },
    );
    given.gzip.or(told).unwrap_or(false)
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("uri", &self.uri)
            .field("protocol", &self.protocol)
            .field("headers", &self.headers)
            .field("timeout", &self.timeout)
            .field("gzip", &self.gzip)
            .finish()
    }
}
