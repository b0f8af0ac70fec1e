//! What the sender of a message has decided holds.

use towpath::{Headers, prelude::*};
use towpath_telemetry::otlp::Protocol;

use crate::{
    arrived,
    feed::{Feed, traceparent},
    receiver, run, sent, setup,
    topic::Topic,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SENDER: &str = "b7ad6b7169203331";

fn sampled(sampled: bool) -> Headers {
    [traceparent(TRACE, SENDER, sampled)].into_iter().collect()
}

fn pipeline(name: &str, headers: impl IntoIterator<Item = Headers>) -> Pipeline {
    Flow::from(Source::new("orders", Feed::with_headers(headers)))
        .process(Processor::new("parse", |n: u64| async move {
            Ok::<_, BoxError>(n)
        }))
        .sink(SinkStage::of("table", Topic::default()))
        .named(name)
}

#[test]
fn of_a_message_that_its_sender_does_not_trace_nothing_is_sent_whatever_the_ratio() {
    let Some(receiver) = receiver() else {
        return;
    };
    let otlp = setup("refused", &receiver, Protocol::Http).start().unwrap();
    let report = run(
        &otlp,
        pipeline("not traced by the sender", vec![sampled(false); 100]),
    );
    assert_eq!(report.counts.done, 100);
    assert_eq!(sent(otlp), 0);
    let requests = receiver.requests(|all| !all.is_empty(), crate::PATIENCE);
    assert!(requests.iter().all(|request| request.path != "/v1/traces"));
}

#[test]
fn a_message_that_its_sender_traces_is_traced_whatever_the_ratio_and_no_other() {
    let Some(receiver) = receiver() else {
        return;
    };
    let setup = setup("chosen", &receiver, Protocol::Grpc).ratio(0.0);
    let otlp = setup.start().unwrap();
    let undecided = (0..100).map(|_| Headers::default());
    let headers = undecided.chain([sampled(true), sampled(false)]);
    let report = run(&otlp, pipeline("traced by the sender", headers));
    assert_eq!(report.counts.done, 102);
    let tree = arrived(&receiver, sent(otlp));
    tree.assert_connected(SENDER);
    assert_eq!(tree.spans()[0].trace_id, TRACE);
    let root = tree.only("poll orders");
    assert_eq!(*root.attribute("messaging.message.id"), "order-100");
}
