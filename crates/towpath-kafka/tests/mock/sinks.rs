//! Sinks while brokers play up.

use std::time::Duration;

use rdkafka::{types::RDKafkaApiKey, types::RDKafkaRespErr as Fault};
use tokio::time::Instant;
use towpath::{Flow, Running, SinkStage, Source};
use towpath_kafka::{KafkaSink, KafkaSinkOptions, Record};

use crate::{
    client,
    cluster::{TOPIC, cluster},
    pipes,
};

fn options(brokers: &str) -> KafkaSinkOptions {
    KafkaSinkOptions::new(brokers)
        .topic(TOPIC)
        .socket_timeout(Duration::from_secs(2))
}

/// Sends numbers to one partition.
async fn sending(sink: KafkaSink, numbers: std::ops::Range<usize>) -> Running {
    let records = numbers.map(|n| Record::new(n.to_string()).partition(0));
    Flow::from(Source::iter("numbers", records))
        .sink(SinkStage::of::<Record>("topic", sink))
        .start()
        .await
        .unwrap()
}

fn stored(brokers: &str) -> Vec<usize> {
    let stored = client::stored(brokers, TOPIC, 1).unwrap();
    let number = |plain: client::Plain| String::from_utf8(plain.payload.unwrap()).unwrap();
    stored
        .into_iter()
        .map(|plain| number(plain).parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_fail_are_made_again_and_each_record_is_there_once_and_in_order() {
    let (cluster, brokers) = cluster(1, 1);
    let faults = [
        Fault::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Fault::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        Fault::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        Fault::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    ];
    cluster.request_errors(RDKafkaApiKey::Produce, &faults);
    let running = sending(KafkaSink::new(options(&brokers)).unwrap(), 0..1_000).await;
    let report = pipes::within(running.join()).await.unwrap();
    towpath_test::check(&report);
    assert_eq!(report.counts.done, 1_000);
    assert_eq!(stored(&brokers), (0..1_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_waits_while_its_broker_is_down_and_says_so() {
    let (cluster, brokers) = cluster(1, 1);
    cluster.broker_down(1).unwrap();
    let running = sending(KafkaSink::new(options(&brokers)).unwrap(), 0..100).await;
    pipes::until("it is told", || pipes::sink_error(&running).is_some()).await;
    assert!(pipes::sink_error(&running).unwrap().contains(&brokers));
    assert_eq!(running.handle().status().counts.done, 0);
    cluster.broker_up(1).unwrap();
    let report = pipes::within(running.join()).await.unwrap();
    assert_eq!(
        (report.counts.done, report.counts.retried),
        (100, 0),
        "{report}"
    );
    assert_eq!(stored(&brokers), (0..100).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_given_back_when_the_patience_is_over() {
    let (cluster, brokers) = cluster(1, 1);
    cluster.broker_down(1).unwrap();
    let patience = Duration::from_secs(2);
    let sink = KafkaSink::new(options(&brokers).patience(patience)).unwrap();
    let begun = Instant::now();
    let report = pipes::within(sending(sink, 0..10).await.join())
        .await
        .unwrap();
    towpath_test::check(&report);
    assert_eq!(
        (report.counts.done, report.counts.retried),
        (0, 10),
        "{report}"
    );
    assert!(begun.elapsed() >= patience, "after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_client_may_hold_waits_for_room() {
    let (_cluster, brokers) = cluster(1, 1);
    let mut options = options(&brokers).max_message(10_000).buffer(10_240);
    options.buffer_messages = 10.try_into().unwrap();
    let running = sending(KafkaSink::new(options).unwrap(), 0..2_000).await;
    let report = pipes::within(running.join()).await.unwrap();
    assert_eq!(report.counts.done, 2_000, "{report}");
    assert_eq!(stored(&brokers), (0..2_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_is_stopped_while_its_broker_is_down_ends_in_time_and_gives_back() {
    let (cluster, brokers) = cluster(1, 1);
    cluster.broker_down(1).unwrap();
    let running = sending(KafkaSink::new(options(&brokers)).unwrap(), 0..100).await;
    pipes::until("it is told", || pipes::sink_error(&running).is_some()).await;
    let begun = Instant::now();
    running.handle().drain_within(Duration::from_secs(1));
    let report = pipes::within(running.join()).await.unwrap();
    towpath_test::check(&report);
    assert_eq!(report.counts.done, 0);
    assert!(report.counts.retried > 0, "{report}");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "after {:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_cannot_go_on_gives_back_and_another_one_takes_its_place() {
    let (cluster, brokers) = cluster(1, 1);
    let sink = KafkaSink::new(options(&brokers)).unwrap();
    let first = pipes::within(sending(sink.clone(), 0..10).await.join())
        .await
        .unwrap();
    assert_eq!(first.counts.done, 10);
    let fenced = [Fault::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER];
    cluster.request_errors(RDKafkaApiKey::Produce, &fenced);
    let mut next = 10;
    for _ in 0..3 {
        let running = sending(sink.clone(), next..next + 1).await;
        let report = pipes::within(running.join()).await.unwrap();
        towpath_test::check(&report);
        next += usize::try_from(report.counts.done).unwrap();
    }
    assert!(next >= 12, "it goes on: {next}");
    let stored = stored(&brokers);
    assert!(
        (0..next).all(|number| stored.contains(&number)),
        "{stored:?}"
    );
}
