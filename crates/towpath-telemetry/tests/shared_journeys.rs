//! Whole journeys of messages, as collectors see them that share no code with us.
//!
//! In real time, on threads: what is proved here is what a user finds in a trace back end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "shared_journeys/endings.rs"]
mod endings;
#[path = "shared_journeys/faults.rs"]
mod faults;
#[path = "shared_journeys/feed.rs"]
mod feed;
#[path = "shared_journeys/incoming.rs"]
mod incoming;
#[path = "shared_journeys/jaeger.rs"]
mod jaeger;
#[path = "shared_journeys/letters.rs"]
mod letters;
#[path = "shared_journeys/many.rs"]
mod many;
#[path = "shared_journeys/own_spans.rs"]
mod own_spans;
#[path = "shared_journeys/processes.rs"]
mod processes;
#[path = "shared_journeys/topic.rs"]
mod topic;
#[path = "shared_journeys/tree.rs"]
mod tree;
#[path = "shared_journeys/whole.rs"]
mod whole;

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use towpath::{Pipeline, Report};
use towpath_telemetry::otlp::{Otlp, Protocol, Setup};
use towpath_test_servers::{OtlpReceiver, or_not_run};
use tree::Tree;

/// For what is certain to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A receiver, or `None` where the tests are told to do without.
fn receiver() -> Option<OtlpReceiver> {
    or_not_run(OtlpReceiver::start())
}

/// All messages are traced, nothing of the process is touched, and no variable is read.
fn setup(service: &str, receiver: &OtlpReceiver, protocol: Protocol) -> Setup {
    let endpoint = match protocol {
        Protocol::Grpc => receiver.grpc(),
        Protocol::Http => receiver.http(),
        other => panic!("no {other:?} here"),
    };
    towards(service, endpoint).protocol(protocol)
}

fn towards(service: &str, endpoint: impl Into<String>) -> Setup {
    Setup::new(service)
        .endpoint(endpoint)
        .ratio(1.0)
        .without_globals()
        .variables(|_| None)
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// Runs a pipeline to its end, where all laws hold.
fn run(otlp: &Otlp, pipeline: Pipeline) -> Report {
    let pipeline = pipeline.telemetry(otlp.monitor());
    let report = runtime().block_on(pipeline.run()).unwrap();
    towpath_test::assert_no_leaks(&report);
    report
}

/// Sends what is left, all of it; how many spans there were.
fn sent(otlp: Otlp) -> u64 {
    let end = otlp.shutdown_blocking(PATIENCE);
    // Jaeger does not want figures.
    let lost = end.spans.lost() + end.logs.lost() + end.metrics.failed;
    assert!(end.in_time && lost == 0, "{end:?}");
    assert_eq!(end.spans.sent, end.spans.emitted);
    end.spans.sent
}

/// What has arrived of so many spans: all of them, once.
fn arrived(receiver: &OtlpReceiver, sent: u64) -> Tree {
    let spans = receiver.spans(|spans| spans.len() as u64 >= sent, PATIENCE);
    assert_eq!(spans.len() as u64, sent, "{}", receiver.log());
    Tree::new(spans)
}
