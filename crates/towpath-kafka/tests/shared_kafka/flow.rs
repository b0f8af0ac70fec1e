//! From a topic through a pipeline to a topic.

use std::collections::BTreeMap;

use towpath::{BoxError, Flow, Processor, SinkStage, Source};
use towpath_kafka::{KafkaRecord, KafkaSink, KafkaSinkOptions, KafkaSource, Record};
use towpath_test::Recorder;

use crate::{broker::topic, client, pipes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_in_a_topic_comes_once_and_is_committed() {
    let Some((brokers, topic)) = topic(4) else {
        return;
    };
    client::put_numbers(&brokers, &topic, 4, 0..1_000);
    let recorder = Recorder::new();
    let running = pipes::recording(pipes::quick(&brokers, "g", &topic), &recorder);
    let running = running.start().await.unwrap();
    pipes::within(recorder.wait_for(1_000)).await;
    let report = pipes::drained(running).await;
    let mut items = recorder.items();
    items.sort_unstable();
    assert_eq!(items, (0..1_000).collect::<Vec<_>>());
    assert_eq!(
        report.sources[0].settled.confirmed + report.sources[0].settled.sent,
        1_000
    );
    let all = BTreeMap::from([0, 1, 2, 3].map(|partition| (partition, 250)));
    assert_eq!(client::committed(&brokers, "g", &topic, 4).unwrap(), all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_is_copied_to_another_one() {
    let Some((brokers, from)) = topic(2) else {
        return;
    };
    let Some((_, to)) = topic(2) else {
        return;
    };
    client::put_numbers(&brokers, &from, 2, 0..500);
    let source = KafkaSource::new(pipes::quick(&brokers, "copy", &from)).unwrap();
    let sink = KafkaSink::new(KafkaSinkOptions::new(&*brokers).topic(&*to)).unwrap();
    let copy = Processor::new("copy", |record: KafkaRecord| async move {
        Ok::<_, BoxError>(Record::from(record))
    });
    let running = Flow::from(Source::new("kafka", source))
        .process(copy)
        .sink(SinkStage::of::<Record>("topic", sink))
        .start()
        .await
        .unwrap();
    let done = || running.handle().status().counts.done == 500;
    pipes::until("all are done", done).await;
    drop(pipes::drained(running).await);
    let mut stored: Vec<usize> = client::stored(&brokers, &to, 2)
        .unwrap()
        .iter()
        .map(|plain| {
            String::from_utf8_lossy(plain.payload.as_ref().unwrap())
                .parse()
                .unwrap()
        })
        .collect();
    stored.sort_unstable();
    assert_eq!(stored, (0..500).collect::<Vec<_>>());
}
