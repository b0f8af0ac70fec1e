//! Spans and log records of a user's own code join the traces of the messages.

use tracing::{Dispatch, Instrument, info, info_span};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use tokio::runtime::{Builder, Runtime};
use towpath::prelude::*;
use towpath_telemetry::otlp::{Otlp, Protocol};

use crate::{PATIENCE, arrived, feed::Feed, receiver, sent, setup, topic::Topic, tree::id};

/// All its threads have the subscriber, and no other thread of this process has.
fn runtime(otlp: &Otlp) -> Runtime {
    let subscriber = Dispatch::new(Registry::default().with(otlp.layers()));
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(move || {
            // As long as the thread.
            std::mem::forget(tracing::dispatcher::set_default(&subscriber));
        })
        .build()
        .unwrap()
}

#[test]
fn spans_and_log_records_of_ones_own_code_are_in_the_trace_of_the_message() {
    let Some(receiver) = receiver() else {
        return;
    };
    let otlp = setup("own spans", &receiver, Protocol::Grpc)
        .start()
        .unwrap();
    let look_up = Processor::new("enrich", |order: u64| async move {
        info!("begins");
        async {
            tokio::task::yield_now().await;
            info!(answer = 42_i64, "found");
        }
        .instrument(info_span!("look up", answer = 42_i64))
        .await;
        Ok::<_, BoxError>(order)
    });
    let compute = Processor::blocking("compute", |order: u64| {
        info_span!("add up").in_scope(|| info!("added"));
        Ok::<_, BoxError>(order)
    });
    let pipeline = Flow::from(Source::new("orders", Feed::new(1)))
        .process(look_up)
        .process(compute)
        .sink(SinkStage::of("table", Topic::default()))
        .named("own spans")
        .telemetry(otlp.monitor());
    let runtime = runtime(&otlp);
    let report = runtime.block_on(pipeline.run());
    drop(runtime);
    towpath_test::assert_no_leaks(&report.unwrap());
    let tree = arrived(&receiver, sent(otlp));
    tree.assert_connected("");
    tree.assert_nested();

    let look_up = tree.only("look up");
    assert_eq!(tree.parent(look_up).unwrap().name, "process enrich");
    assert_eq!((&*look_up.kind, &*look_up.scope), ("INTERNAL", "tracing"));
    assert_eq!(*look_up.attribute("answer"), 42);
    let add_up = tree.only("add up");
    assert_eq!(tree.parent(add_up).unwrap().name, "process compute");

    let logs = receiver.logs(|logs| logs.len() >= 3, PATIENCE);
    let place = |body: &str| {
        let log = logs.iter().find(|log| log.body == body).unwrap();
        (&*log.trace_id, &*log.span_id)
    };
    assert_eq!(place("begins"), id(tree.only("process enrich")));
    assert_eq!(place("found"), id(look_up));
    assert_eq!(place("added"), id(add_up));
    let found = logs.iter().find(|log| log.body == "found").unwrap();
    assert_eq!(
        (&*found.severity, &found.attributes["answer"]),
        ("INFO", &42.into())
    );
}
