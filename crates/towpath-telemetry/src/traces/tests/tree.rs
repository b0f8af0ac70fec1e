//! The whole tree of a message, as the engine makes it.

use std::collections::{BTreeMap, HashMap};

use opentelemetry::trace::SpanKind;
use tokio::time::{Instant, advance};
use towpath_core::{
    BatchInfo, Ledger, Outcome, Peer, Trigger,
    trace::{End, Journey, Step},
};

use super::*;

const MS: Duration = Duration::from_millis(1);

fn ledger() -> Arc<Ledger> {
    let began = Instant::now();
    Arc::new(Ledger::new(move || began.elapsed()))
}

fn origin() -> Origin {
    Origin::default()
        .in_partition(3, 42)
        .identified("order-7")
        .attempt(2)
}

fn failed() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer")
}

/// A processor fails once, waits, and succeeds. One millisecond for each.
async fn process(journey: &Arc<Journey>, origin: &Origin) {
    let stage = StageName::from("parse");
    let stage = &stage;
    advance(MS).await;
    let process = journey.enter(
        stage,
        &Step::Process {
            stage,
            count: None,
            origin,
        },
    );
    let first = process.start(&Step::Attempt { stage, number: 2 }, journey.now());
    advance(MS).await;
    first.end(&End::failed(&failed()), journey.now());
    let reason = "backoff";
    let wait = process.start(&Step::Wait { stage, reason }, journey.now());
    advance(MS).await;
    wait.end(&End::Done, journey.now());
    let second = process.start(&Step::Attempt { stage, number: 3 }, journey.now());
    advance(MS).await;
    second.end(&End::Done, journey.now());
    journey.leave(&End::Done);
}

/// A batcher and a sink take it, with another message; the source is told.
async fn write(journey: &Arc<Journey>, other: &Arc<dyn Span>, origin: &Origin) {
    let info = BatchInfo::new("batches".into(), 2, Trigger::Age)
        .with_age(250 * MS)
        .with_weight(9);
    let (sink, peer) = (
        &StageName::from("store"),
        &Peer::new("nats").destination("invoices"),
    );
    let batch = journey.enter(&info.batcher, &Step::Batch { info: &info });
    batch.link(&**other);
    let count = info.size;
    let send = batch.start(&Step::Send { sink, peer, count }, journey.now());
    let create = Step::Create { sink, peer, origin };
    let create = journey.root().start(&create, journey.now());
    create.link(&*send);
    advance(MS).await;
    create.end(&End::Done, journey.now());
    send.end(&End::Done, journey.now());
    journey.leave(&End::Done);
    let (outcome, abandoned) = (&Outcome::Done, false);
    let told = journey
        .root()
        .start(&Step::Settle { outcome, abandoned }, journey.now());
    told.end(&End::Done, journey.now());
}

async fn travelled() -> Rig {
    let rig = Rig::new();
    let ledger = ledger();
    let origin = origin();
    advance(5 * MS).await;
    let begun = rig.begin_all(&[origin.clone(), Origin::default()]);
    let journey = Journey::new(begun[0].root.clone(), ledger);
    process(&journey, &origin).await;
    write(&journey, &begun[1].root, &origin).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn every_step_is_a_child_where_it_belongs() {
    let rig = travelled().await;
    let spans = rig.spans();
    let names: HashMap<_, _> = spans.iter().map(|s| (id(s), s.name.as_ref())).collect();
    let root = id(&spans[0]);
    let trace = spans[0].span_context.trace_id();
    let ours = spans.iter().filter(|s| s.span_context.trace_id() == trace);
    let mut tree: Vec<(&str, &str, SpanKind)> = ours
        .map(|span| {
            let parent = names.get(&span.parent_span_id).copied().unwrap_or_default();
            (parent, span.name.as_ref(), span.span_kind.clone())
        })
        .collect();
    tree.sort_by_key(|(parent, name, _)| (*parent, *name));
    assert_eq!(names[&root], "poll orders");
    let expected = [
        ("", "poll orders", SpanKind::Client),
        ("batch batches", "send store", SpanKind::Client),
        ("poll orders", "ack orders", SpanKind::Client),
        ("poll orders", "batch batches", SpanKind::Consumer),
        ("poll orders", "create store", SpanKind::Producer),
        ("poll orders", "process parse", SpanKind::Consumer),
        ("poll orders", "queue batches", SpanKind::Internal),
        ("poll orders", "queue parse", SpanKind::Internal),
        ("process parse", "attempt parse", SpanKind::Internal),
        ("process parse", "attempt parse", SpanKind::Internal),
        ("process parse", "wait parse", SpanKind::Internal),
    ];
    assert_eq!(tree, expected);
}

#[tokio::test(start_paused = true)]
async fn spans_follow_each_other_in_time() {
    let rig = travelled().await;
    let began = rig.spans()[0].start_time - 2 * MS;
    let lasts = |name: &str| {
        let span = rig.span(name);
        let since = |at: super::super::clock::Wall| at.duration_since(began).unwrap().as_millis();
        (since(span.start_time), since(span.end_time))
    };
    assert_eq!(lasts("queue parse"), (5, 6));
    assert_eq!(lasts("process parse"), (6, 9));
    assert_eq!(lasts("wait parse"), (7, 8));
    assert_eq!(lasts("queue batches"), (9, 9));
    assert_eq!(lasts("batch batches"), (9, 10));
    assert_eq!(lasts("send store"), (9, 10));
    assert_eq!(lasts("ack orders"), (10, 10));
}

#[tokio::test(start_paused = true)]
async fn spans_say_what_is_known() {
    let rig = travelled().await;
    let all = |span: &SpanData| -> BTreeMap<String, String> {
        let text = |kv: &opentelemetry::KeyValue| (kv.key.to_string(), kv.value.to_string());
        span.attributes.iter().map(text).collect()
    };
    let expected = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let pipeline = ("towpath.pipeline", "orders-pipeline");
        let pairs = pairs.iter().chain([&pipeline]);
        pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let process = expected(&[
        ("messaging.system", "kafka"),
        ("messaging.destination.name", "orders"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.message.id", "order-7"),
        ("messaging.destination.partition.id", "3"),
        ("messaging.kafka.offset", "42"),
        ("towpath.attempt", "2"),
        ("towpath.stage", "parse"),
    ]);
    assert_eq!(all(&rig.span("process parse")), process);
    let batch = expected(&[
        ("messaging.system", "kafka"),
        ("messaging.destination.name", "orders"),
        ("messaging.operation.name", "batch"),
        ("messaging.operation.type", "process"),
        ("messaging.batch.message_count", "2"),
        ("towpath.batch.trigger", "age"),
        ("towpath.batch.age", "0.25"),
        ("towpath.batch.weight", "9"),
        ("towpath.stage", "batches"),
    ]);
    assert_eq!(all(&rig.span("batch batches")), batch);
    let create = expected(&[
        ("messaging.system", "nats"),
        ("messaging.destination.name", "invoices"),
        ("messaging.operation.name", "create"),
        ("messaging.operation.type", "create"),
        ("messaging.message.id", "order-7"),
        ("towpath.stage", "store"),
    ]);
    assert_eq!(all(&rig.span("create store")), create);
    let wait = expected(&[
        ("towpath.stage", "parse"),
        ("towpath.wait.reason", "backoff"),
    ]);
    assert_eq!(all(&rig.span("wait parse")), wait);
}

#[tokio::test(start_paused = true)]
async fn a_batch_points_to_the_other_members() {
    let rig = travelled().await;
    let batch = rig.span("batch batches");
    let other = &rig.spans()[1];
    assert_eq!(other.name, "poll orders");
    assert_ne!(other.span_context.trace_id(), batch.span_context.trace_id());
    assert_eq!(batch.links[0].span_context, other.span_context);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_cut_off_in_a_stage_leaves_an_abandoned_span() {
    let rig = Rig::new();
    let journey = Journey::new(rig.root(), ledger());
    let stage = StageName::from("parse");
    let origin = Origin::default();
    let process = Step::Process {
        stage: &stage,
        count: Some(4),
        origin: &origin,
    };
    drop(journey.enter(&stage, &process));
    drop(journey);
    let span = rig.span("process parse");
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("abandoned"));
    let count = attribute(&span, "messaging.batch.message_count");
    assert_eq!(count.as_deref(), Some("4"));
}
