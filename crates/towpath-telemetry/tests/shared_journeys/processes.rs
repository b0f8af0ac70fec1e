//! A message that goes from one process to another.

use std::{
    env,
    io::{self, Write},
    process::{ChildStdin, Command, Stdio},
};

use towpath::{Batch, Headers, prelude::*};
use towpath_telemetry::otlp::Protocol;
use towpath_test_servers::SpanLine;

use crate::{
    PATIENCE,
    feed::{Feed, traceparent},
    receiver, run, sent, setup,
    topic::Topic,
    towards,
    tree::Tree,
};

/// Where the other process sends its spans to; only that one has it.
const OTHER: &str = "TOWPATH_JOURNEYS_COLLECTOR";

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SENDER: &str = "b7ad6b7169203331";

/// Writes a line for each message: its number, `traceparent` and `tracestate`.
struct Pipe(ChildStdin);

impl Sink<u64> for Pipe {
    async fn write(&mut self, batch: Batch<u64>) -> Result<Written, BoxError> {
        for (place, number) in batch.iter().enumerate() {
            let headers = batch.trace(place).unwrap_or_default();
            let value = |name| headers.get(name).unwrap_or_default();
            let (parent, state) = (value("traceparent"), value("tracestate"));
            writeln!(self.0, "{number} {parent} {state}")?;
        }
        Ok(Written::All)
    }
}

fn headers(line: &str) -> Headers {
    let names = ["traceparent", "tracestate"];
    let values = line.split(' ').skip(1);
    let headers = names.into_iter().zip(values);
    headers.filter(|(_, value)| !value.is_empty()).collect()
}

/// What runs in the other process.
fn receive(endpoint: String) {
    let otlp = towards("receiving", endpoint).protocol(Protocol::Http);
    let otlp = otlp.start().unwrap();
    let lines = io::stdin().lines().map(|line| headers(&line.unwrap()));
    let pipeline = Flow::from(Source::new("lines", Feed::with_headers(lines)))
        .process(
            Processor::new("parse", |n: u64| async move { Ok::<_, BoxError>(n) }).concurrency(1),
        )
        .batch(Batcher::new("rows").max_messages(2).max_wait(PATIENCE))
        .sink(SinkStage::of("table", Topic::default()))
        .named("receives");
    run(&otlp, pipeline);
    sent(otlp);
}

/// The first of its batch in both processes.
const TREE: &str = "\
poll orders CLIENT
  queue pipe INTERNAL
  batch pairs CONSUMER
    send pipe CLIENT
  create pipe PRODUCER
    poll lines CLIENT
      queue parse INTERNAL
      process parse CONSUMER
      queue table INTERNAL
      batch rows CONSUMER
        send table CLIENT
      create table PRODUCER
      ack lines CLIENT
  ack orders CLIENT
";

#[test]
fn a_journey_through_two_processes_is_one_trace() {
    if let Ok(endpoint) = env::var(OTHER) {
        return receive(endpoint);
    }
    let Some(receiver) = receiver() else {
        return;
    };
    let mut other = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("processes::a_journey_through_two_processes_is_one_trace")
        .env(OTHER, receiver.http())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pipe = Pipe(other.stdin.take().unwrap());
    let traced = [
        traceparent(TRACE, SENDER, true),
        ("tracestate", "vendor=7".to_owned()),
    ];
    let feed = Feed::with_headers([traced.into_iter().collect(), Headers::default()]);
    let otlp = setup("sending", &receiver, Protocol::Grpc).start().unwrap();
    let pipeline = Flow::from(Source::new("orders", feed))
        .batch(Batcher::new("pairs").max_messages(2).max_wait(PATIENCE))
        .sink(SinkStage::of("pipe", pipe))
        .named("sends");
    run(&otlp, pipeline);
    let sent = sent(otlp);
    assert!(other.wait().unwrap().success());

    // Six spans of each message in the other process, and two of its batch.
    let expected = sent + 2 * 6 + 2;
    let spans = receiver.spans(|spans| spans.len() as u64 >= expected, PATIENCE);
    let all = Tree::new(spans);
    assert_eq!(all.spans().len() as u64, expected, "{all}");
    let (tree, other) = (all.of_message("order-0"), all.of_message("order-1"));
    assert_eq!(tree.to_string(), TREE);
    assert_eq!(tree.spans().len() + other.spans().len(), all.spans().len());
    tree.assert_connected(SENDER);
    other.assert_connected("");
    for tree in [tree, other] {
        tree.assert_nested();
        goes_on_in_the_other_process(&tree);
    }
    let mut spans = all.spans().iter().filter(|span| span.trace_id == TRACE);
    assert!(spans.all(|span| span.trace_state == "vendor=7"));
}

fn goes_on_in_the_other_process(tree: &Tree) {
    let received = tree.only("poll lines");
    let created = tree.parent(received).unwrap();
    assert_eq!(created.name, "create pipe");
    assert_eq!(
        (created.service(), received.service()),
        ("sending", "receiving")
    );
    // The parent is in another process: bits 8 and 9 say so.
    assert_eq!(received.flags, 0x301);
    let is_of_receiver = |span: &&SpanLine| span.service() == "receiving";
    let received = tree.spans().iter().filter(is_of_receiver);
    assert!(received.clone().count() >= 6);
    assert!(
        received
            .into_iter()
            .all(|span| span.start_ns >= created.start_ns)
    );
}
