//! What is said of a collector that does not do its part.

use http::{HeaderMap, Uri};

use super::*;
use crate::{
    listener::heard,
    otlp::config::{Protocol, Target},
};

/// What is said of requests that went like that.
fn said(errors: Vec<Option<SendError>>) -> Vec<String> {
    let target = Target {
        uri: Uri::from_static("http://localhost:4318/v1/logs"),
        protocol: Protocol::Http,
        headers: HeaderMap::new(),
        timeout: Duration::from_secs(10),
        gzip: false,
    };
    let exporter = Exporter::new("logs", Transport::new(target).unwrap());
    let mut outage = Outage::default();
    heard(|| {
        for error in errors {
            outage.note(&exporter, error.as_ref());
        }
    })
}

fn broken(protocol: Protocol) -> SendError {
    let source = "reset".into();
    SendError::Broken { protocol, source }
}

#[test]
fn that_a_collector_does_not_know_a_signal_is_said_once_and_is_no_warning() {
    let unwanted = || {
        let answer = "404 Not Found".to_owned();
        Some(SendError::Unwanted { answer })
    };
    let lines = said(vec![unwanted(), unwanted(), None, unwanted()]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "INFO message=the collector takes no logs",
        "collector=http://localhost:4318/v1/logs",
        "404 Not Found",
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
}

#[test]
fn an_outage_is_said_when_it_begins_and_when_it_is_over() {
    let silent = || Some(SendError::Silent);
    let lines = said(vec![None, silent(), silent(), None, None, silent()]);
    let levels: Vec<_> = lines.iter().map(|line| &line[..4]).collect();
    assert_eq!(levels, ["WARN", "INFO", "WARN"]);
    assert!(lines[0].contains("telemetry is being lost"), "{lines:?}");
    assert!(lines[1].contains("telemetry arrives again"), "{lines:?}");
}

#[test]
fn a_cause_is_said_where_there_is_one() {
    let silent = said(vec![Some(SendError::Silent)]).concat();
    assert!(!silent.contains("cause"), "{silent}");
    let broken = said(vec![Some(broken(Protocol::Http))]).concat();
    assert!(broken.contains("cause=reset"), "{broken}");
}

#[test]
fn a_connection_that_breaks_says_how_to_speak_the_other_protocol() {
    for (spoken, advice) in [
        (
            Protocol::Http,
            "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc or `.protocol(Protocol::Grpc)`",
        ),
        (
            Protocol::Grpc,
            "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf or `.protocol(Protocol::Http)`",
        ),
    ] {
        let error = broken(spoken).to_string();
        assert!(error.ends_with(advice), "{error}");
    }
}
