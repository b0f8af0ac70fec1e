//! Batches of more members than a span has links by default.

use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use towpath::prelude::*;
use towpath_telemetry::{Monitor, otlp::Protocol, traces::Tracing};

use crate::{
    arrived,
    feed::Feed,
    receiver, run, runtime, sent, setup,
    topic::Topic,
    tree::{id, links},
};

const MEMBERS: usize = 200;

fn pipeline(name: &str) -> Pipeline {
    Flow::from(Source::new("orders", Feed::new(MEMBERS as u64)))
        .batch(Batcher::new("rows").max_messages(MEMBERS))
        .sink(SinkStage::of("table", Topic::default()))
        .named(name)
}

#[test]
fn a_batch_points_to_all_its_members_however_many_they_are() {
    let Some(receiver) = receiver() else {
        return;
    };
    let otlp = setup("many", &receiver, Protocol::Grpc).start().unwrap();
    run(&otlp, pipeline("many members"));
    let tree = arrived(&receiver, sent(otlp));
    let batch = tree.only("batch rows");
    let mut members = links(batch);
    let mut roots: Vec<_> = tree.named("poll orders").into_iter().map(id).collect();
    assert_eq!(roots.len(), MEMBERS);
    members.sort_unstable();
    roots.sort_unstable();
    assert_eq!(members, roots);
    assert_eq!(batch.dropped_links, 0);
    assert!(batch.attribute("towpath.links.dropped").is_null());
    assert_eq!(*batch.attribute("messaging.batch.message_count"), MEMBERS);
}

#[test]
fn with_a_provider_that_allows_fewer_links_the_others_are_counted() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .build();
    let monitor = Monitor::new().traced_by(Tracing::new(&provider).ratio(1.0));
    let pipeline = pipeline("many members elsewhere").telemetry(monitor);
    towpath_test::assert_no_leaks(&runtime().block_on(pipeline.run()).unwrap());
    let spans = exporter.get_finished_spans().unwrap();
    let batch = spans.iter().find(|span| span.name == "batch rows").unwrap();
    let mut attributes = batch.attributes.iter();
    let counted = attributes.find(|pair| pair.key.as_str() == "towpath.links.dropped");
    assert_eq!(batch.links.len(), 128);
    assert_eq!(counted.unwrap().value.to_string(), "72");
}
