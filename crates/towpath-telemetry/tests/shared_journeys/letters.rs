//! The trace of a message that was rejected, and of its letter.

use std::io;

use towpath::prelude::*;
use towpath_telemetry::otlp::Protocol;
use towpath_test::Recorder;

use crate::{
    arrived,
    feed::Feed,
    receiver, run, sent, setup,
    topic::Topic,
    tree::{id, links},
};

const TREE: &str = "\
poll orders CLIENT
  queue price INTERNAL
  process price CONSUMER ERROR timeout
  queue letters INTERNAL
  send letters CLIENT
  create letters PRODUCER
  reject orders CLIENT UNSET timeout
  poll repeated CLIENT
    queue table INTERNAL
    send table CLIENT
    create table PRODUCER
    ack repeated CLIENT
";

#[test]
fn a_dead_letter_says_why_and_whoever_repeats_it_goes_on_with_its_trace() {
    let Some(receiver) = receiver() else {
        return;
    };
    let otlp = setup("letters", &receiver, Protocol::Grpc).start().unwrap();
    let (letters, topic) = (Recorder::<DeadLetter>::new(), Topic::default());
    let price = Processor::new("price", |_: u64| async move {
        Err::<u64, _>(io::Error::new(io::ErrorKind::TimedOut, "no price in time"))
    });
    let rejected = Flow::from(Source::new("orders", Feed::new(1)))
        .process(price)
        .sink(SinkStage::of("table", topic.clone()))
        .dead_letter(letters.sink("letters"))
        .named("rejects the order");
    run(&otlp, rejected);
    let letter = letters.items().pop().unwrap();
    let repeated = Flow::from(Source::new("repeated", Feed::with_headers([letter.trace])))
        .sink(SinkStage::of("table", topic.clone()))
        .named("repeats the order");
    run(&otlp, repeated);

    let tree = arrived(&receiver, sent(otlp));
    assert_eq!(tree.to_string(), TREE);
    tree.assert_connected("");
    tree.assert_nested();
    let process = tree.only("process price");
    assert_eq!(process.status.message, "no price in time");
    let reject = tree.only("reject orders");
    assert_eq!(*reject.attribute("towpath.outcome"), "rejected");
    assert_eq!(*reject.attribute("towpath.outcome.stage"), "price");
    assert_eq!(
        *reject.attribute("towpath.outcome.reason"),
        "no price in time"
    );
    let create = tree.only("create letters");
    assert_eq!(*create.attribute("messaging.message.id"), "order-0");
    let send = tree.only("send letters");
    assert_eq!(links(create), [id(send)]);
    assert_eq!(links(send), [id(tree.only("poll orders"))]);
}
