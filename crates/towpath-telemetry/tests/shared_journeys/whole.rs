//! One journey with everything that can happen on it.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::{Value, json};
use towpath::{Headers, policy::HttpStatus, prelude::*};
use towpath_telemetry::otlp::Protocol;
use towpath_test_servers::SpanLine;

use crate::{
    PATIENCE, arrived,
    feed::{Feed, traceparent},
    receiver, run, sent, setup,
    topic::Topic,
    tree::{Tree, attributes, header, id, links},
};

pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(crate) const SENDER: &str = "b7ad6b7169203331";

/// Message 0 fails twice and succeeds; the others pass, one each half second.
pub(crate) fn pipeline(name: &str, feed: Feed, topic: &Topic) -> Pipeline {
    let tries = Arc::new(AtomicU32::new(0));
    let fetch = Processor::new("fetch", move |number: u64| {
        let tries = tries.clone();
        async move {
            let before = match number {
                0 => tries.fetch_add(1, SeqCst),
                _ => u32::MAX,
            };
            match before {
                0 => pending().await,
                1 => Err(BoxError::from(HttpStatus(429))),
                _ => Ok(number),
            }
        }
    });
    let passes =
        |name| Processor::new(name, |number: u64| async move { Ok::<_, BoxError>(number) });
    Flow::from(Source::new("orders", feed))
        .process(passes("parse"))
        .process(
            fetch
                .unordered(4)
                .timeout(Duration::from_millis(200))
                .retry(Retry::fixed(Duration::from_millis(30)).attempts(3)),
        )
        .process(
            passes("enrich")
                .concurrency(1)
                .rate_limit(RateLimit::per_second(2).burst(1)),
        )
        .batch(Batcher::new("rows").max_messages(4).max_wait(PATIENCE))
        .sink(SinkStage::of("table", topic.clone()))
        .named(name)
}

/// Message 1 comes with a trace.
pub(crate) fn feed() -> Feed {
    let traced = [
        traceparent(TRACE, SENDER, true),
        ("tracestate", "vendor=7".to_owned()),
    ];
    let mut headers = vec![Headers::default(); 4];
    headers[1] = traced.into_iter().collect();
    Feed::with_headers(headers)
}

/// Fails twice, waits for the rate limit, and is in a batch with others.
pub(crate) const TRIED: &str = "\
poll orders CLIENT
  queue parse INTERNAL
  process parse CONSUMER
  queue fetch INTERNAL
  process fetch CONSUMER
    attempt fetch INTERNAL ERROR timeout
    wait fetch INTERNAL
    attempt fetch INTERNAL ERROR 429
    wait fetch INTERNAL
    attempt fetch INTERNAL
  queue enrich INTERNAL
  wait enrich INTERNAL
  process enrich CONSUMER
    attempt enrich INTERNAL
  queue table INTERNAL
  create table PRODUCER
  ack orders CLIENT
";

/// Is the first in its batch.
pub(crate) const FIRST: &str = "\
poll orders CLIENT
  queue parse INTERNAL
  process parse CONSUMER
  queue fetch INTERNAL
  process fetch CONSUMER
    attempt fetch INTERNAL
  queue enrich INTERNAL
  process enrich CONSUMER
    attempt enrich INTERNAL
  queue table INTERNAL
  batch rows CONSUMER
    send table CLIENT
  create table PRODUCER
  ack orders CLIENT
";

/// What a span says; of the wait for the source, whether it is as long as the span.
pub(crate) fn said(span: &SpanLine) -> Value {
    let mut said = attributes(span);
    if let Some(wait) = said.get_mut("towpath.poll.wait") {
        let apart = wait.as_f64().unwrap() - took(span).as_secs_f64();
        // Some tell times in whole microseconds.
        *wait = (apart.abs() < 2e-6).into();
    }
    said
}

/// What the spans of message 0 say, from the top to the bottom.
pub(crate) fn expected(pipeline: &str) -> Vec<Value> {
    let own = |stage: &str| json!({"towpath.pipeline": pipeline, "towpath.stage": stage});
    let operation = |stage: &str, system: &str, name: &str, kind: &str| {
        let destination = if system == "nats" {
            "invoices"
        } else {
            "orders"
        };
        let words = json!({
            "messaging.system": system,
            "messaging.destination.name": destination,
            "messaging.operation.name": name,
            "messaging.operation.type": kind,
        });
        merged(own(stage), words)
    };
    let message = |attempt: u32| {
        json!({
            "messaging.message.id": "order-0",
            "messaging.destination.partition.id": "3",
            "messaging.kafka.offset": 40,
            "towpath.attempt": attempt,
        })
    };
    let process = |stage: &str, attempt: u32| {
        merged(
            operation(stage, "kafka", "process", "process"),
            message(attempt),
        )
    };
    let attempt = |stage: &str, number: u32| merged(own(stage), json!({"towpath.attempt": number}));
    let wait = |stage: &str, why: &str| merged(own(stage), json!({"towpath.wait.reason": why}));
    let failed = |span: Value, kind: &str| merged(span, json!({"error.type": kind}));
    let poll = operation("orders", "kafka", "poll", "receive");
    let create = operation("table", "nats", "create", "create");
    let ack = operation("orders", "kafka", "ack", "settle");
    vec![
        merged(merged(poll, message(1)), json!({"towpath.poll.wait": true})),
        own("parse"),
        process("parse", 1),
        own("fetch"),
        process("fetch", 1),
        failed(attempt("fetch", 1), "timeout"),
        wait("fetch", "backoff"),
        failed(attempt("fetch", 2), "429"),
        wait("fetch", "backoff"),
        attempt("fetch", 3),
        own("enrich"),
        wait("enrich", "rate_limit"),
        process("enrich", 3),
        attempt("enrich", 3),
        own("table"),
        merged(create, json!({"messaging.message.id": "order-0"})),
        merged(ack, json!({"towpath.outcome": "done"})),
    ]
}

fn merged(mut one: Value, other: Value) -> Value {
    let (Some(all), Value::Object(other)) = (one.as_object_mut(), other) else {
        panic!("two maps");
    };
    all.extend(other);
    one
}

fn shows_the_whole_journey(protocol: Protocol) {
    let Some(receiver) = receiver() else {
        return;
    };
    let (feed, topic) = (feed(), Topic::default());
    let told = feed.told();
    let otlp = setup("orders-service", &receiver, protocol)
        .start()
        .unwrap();
    let name = format!("orders by {protocol:?}");
    run(&otlp, pipeline(&name, feed, &topic));
    let all = arrived(&receiver, sent(otlp));
    let mut outcomes = told.all();
    outcomes.sort_unstable();
    assert_eq!(outcomes, [0, 1, 2, 3].map(|number| (number, "done")));

    is_from_the_service(&all);
    is_one_trace_without_a_sender(&all.of_message("order-0"), &name);
    goes_on_with_that_of_its_sender(&all.of_message("order-1"));
    is_in_one_batch(&all);
    carries_the_traces_on(&all, &topic);
}

fn is_from_the_service(all: &Tree) {
    for span in all.spans() {
        assert_eq!(
            (span.service(), &*span.scope),
            ("orders-service", "towpath")
        );
        // Sampled, and whether the parent is elsewhere is known.
        let remote = span.parent_span_id == SENDER;
        assert_eq!(span.flags, if remote { 0x301 } else { 0x101 }, "{span:?}");
    }
}

fn is_one_trace_without_a_sender(tree: &Tree, pipeline: &str) {
    assert_eq!(tree.to_string(), TRIED);
    tree.assert_connected("");
    tree.assert_nested();
    let found: Vec<_> = tree.walk().into_iter().map(said).collect();
    for (found, expected) in found.iter().zip(expected(pipeline)) {
        assert_eq!(*found, expected);
    }
    let attempts = tree.named("attempt fetch");
    assert_eq!(
        attempts[0].status.message,
        "the attempt took longer than 200ms"
    );
    assert_eq!(attempts[1].status.message, "HTTP status 429");
    assert!(took(attempts[0]) >= Duration::from_millis(200));
    let waits = tree.named("wait fetch");
    assert!(
        waits
            .iter()
            .all(|wait| took(wait) >= Duration::from_millis(30))
    );
    // The others took the budget of the first one and a half seconds.
    assert!(took(tree.only("wait enrich")) > Duration::from_millis(1));
}

fn goes_on_with_that_of_its_sender(tree: &Tree) {
    assert_eq!(tree.to_string(), FIRST);
    tree.assert_connected(SENDER);
    tree.assert_nested();
    let mut spans = tree.spans().iter();
    assert!(spans.all(|span| span.trace_id == TRACE && span.trace_state == "vendor=7"));
}

fn is_in_one_batch(all: &Tree) {
    let batch = all.only("batch rows");
    let mut roots: Vec<_> = all.named("poll orders").into_iter().map(id).collect();
    let mut members = links(batch);
    roots.sort_unstable();
    members.sort_unstable();
    assert_eq!((members.len(), members), (4, roots));
    let created = all.named("create table");
    assert_eq!(created.len(), 4);
    assert!(created.iter().all(|create| links(create) == [id(batch)]));
    assert_eq!(*batch.attribute("messaging.batch.message_count"), 4);
    assert_eq!(*batch.attribute("towpath.batch.trigger"), "count");
    let age = batch.attribute("towpath.batch.age").as_f64().unwrap();
    assert!(
        (1.0..30.0).contains(&age),
        "the rate limit let one in each half second: {age}"
    );
    assert_eq!(
        *all.only("send table")
            .attribute("messaging.batch.message_count"),
        4
    );
    assert!(
        batch.attribute("messaging.message.id").is_null(),
        "it is of many"
    );
}

/// What is sent has the context of its own message.
fn carries_the_traces_on(all: &Tree, topic: &Topic) {
    let sent = topic.sent();
    assert_eq!(sent.len(), 4);
    for (number, headers) in sent {
        let message = all.of_message(&format!("order-{number}"));
        let create = message.only("create table");
        assert_eq!(headers.get("traceparent"), Some(&*header(create)));
        let state = (number == 1).then_some("vendor=7");
        assert_eq!(headers.get("tracestate"), state);
    }
}

fn took(span: &SpanLine) -> Duration {
    Duration::from_nanos(span.end_ns - span.start_ns)
}

#[test]
fn a_journey_is_one_tree_from_its_sender_to_its_acknowledgement_by_grpc() {
    shows_the_whole_journey(Protocol::Grpc);
}

#[test]
fn a_journey_is_one_tree_from_its_sender_to_its_acknowledgement_by_http() {
    shows_the_whole_journey(Protocol::Http);
}
