//! How a journey looks that does not go well.

use std::time::Duration;

use towpath::prelude::*;
use towpath_telemetry::otlp::Protocol;

use crate::{arrived, feed::Feed, receiver, run, runtime, sent, setup, topic::Topic, tree::Tree};

fn ends<S>(name: &str, stage: S) -> Option<Tree>
where
    S: towpath::core::Stage<u64, Out = u64>,
{
    let receiver = receiver()?;
    let otlp = setup(name, &receiver, Protocol::Http).start().unwrap();
    let pipeline = Flow::from(Source::redelivering("orders", Feed::new(1)))
        .process(stage)
        .sink(SinkStage::of("table", Topic::default()))
        .named(name);
    run(&otlp, pipeline);
    Some(arrived(&receiver, sent(otlp)))
}

#[test]
fn a_panic_is_an_error_of_its_stage_and_of_its_outcome() {
    let panics = Processor::new("enrich", |order: u64| async move {
        assert!(order > 0, "no such order");
        Ok::<_, BoxError>(order)
    });
    let Some(tree) = ends("panics", panics) else {
        return;
    };
    tree.assert_connected("");
    tree.assert_nested();
    let process = tree.only("process enrich");
    assert_eq!(process.status.code, "ERROR");
    assert!(
        process.status.message.contains("no such order"),
        "{process:?}"
    );
    assert_eq!(*process.attribute("error.type"), "panic");
    let reject = tree.only("reject orders");
    assert_eq!(*reject.attribute("error.type"), "panic");
    assert_eq!(*reject.attribute("towpath.outcome.stage"), "enrich");
}

#[test]
fn a_message_that_is_delivered_again_has_one_trace_through_both_deliveries() {
    let fails_once = Processor::with_context("enrich", |call: Call<u64>| async move {
        match call.origin.attempt {
            1 => Err(Failure::retry("busy").after(Duration::from_millis(20))),
            _ => Ok(call.payload),
        }
    });
    let Some(tree) = ends("delivers again", fails_once) else {
        return;
    };
    assert_eq!(tree.to_string(), twice("_OTHER", ""));
    tree.assert_connected("");
    tree.assert_nested();
    let nack = tree.only("nack orders");
    assert_eq!(*nack.attribute("towpath.outcome"), "retried");
    assert_eq!(*nack.attribute("towpath.retry.after"), 0.02);
    comes_again_as_the_second(&tree);
}

/// Two deliveries: the first ends badly, and its source is told.
fn twice(how: &str, told: &str) -> String {
    format!(
        "\
poll orders CLIENT
  queue enrich INTERNAL
  process enrich CONSUMER ERROR {how}
  nack orders CLIENT{told}
  poll orders CLIENT
    queue enrich INTERNAL
    process enrich CONSUMER
    queue table INTERNAL
    send table CLIENT
    create table PRODUCER
    ack orders CLIENT
"
    )
}

#[track_caller]
fn comes_again_as_the_second(tree: &Tree) {
    let polls = tree.named("poll orders").into_iter();
    let attempts: Vec<_> = polls
        .map(|poll| poll.attribute("towpath.attempt").clone())
        .collect();
    assert_eq!(attempts, [1, 2]);
}

#[test]
fn what_a_killed_worker_had_in_hand_is_abandoned_and_goes_on_with_its_trace_elsewhere() {
    let Some(receiver) = receiver() else {
        return;
    };
    let otlp = setup("killed", &receiver, Protocol::Grpc).start().unwrap();
    let (tell, mut called) = tokio::sync::mpsc::channel(1);
    let hangs_once = Processor::with_context("enrich", move |call: Call<u64>| {
        let tell = tell.clone();
        async move {
            if call.origin.attempt == 1 {
                tell.send(()).await?;
                std::future::pending::<()>().await;
            }
            Ok::<_, BoxError>(call.payload)
        }
    });
    let pipeline = Flow::from(Source::redelivering("orders", Feed::new(1)))
        .process(hangs_once.concurrency(1))
        .sink(SinkStage::of("table", Topic::default()))
        .named("killed")
        .telemetry(otlp.monitor());
    let report = runtime().block_on(async {
        let running = pipeline.start().await.unwrap();
        called.recv().await.unwrap();
        running.handle().kill_worker("enrich", 0).unwrap();
        running.join().await.unwrap()
    });
    towpath_test::assert_no_leaks(&report);
    let tree = arrived(&receiver, sent(otlp));
    assert_eq!(tree.to_string(), twice("abandoned", " UNSET abandoned"));
    tree.assert_connected("");
    tree.assert_nested();
    assert_eq!(tree.named("process enrich")[0].status.message, "abandoned");
    comes_again_as_the_second(&tree);
}
