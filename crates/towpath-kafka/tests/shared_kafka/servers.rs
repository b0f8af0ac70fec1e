//! Brokers that are away, come back, hang, or are cut off.

use std::time::Duration;

use tokio::{task::block_in_place, time::Instant};
use towpath::{BoxError, Flow, Processor, SinkStage, Source};
use towpath_kafka::{KafkaSink, KafkaSinkOptions, KafkaSource, Record};
use towpath_test::Recorder;
use towpath_test_servers::{Kafka, or_not_run};

use crate::{
    client,
    pipes::{self, Lock, quick},
};

/// How soon it is known that a broker is away, also on a busy machine.
const NOTICES: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_at_the_start_is_told_and_waited_for() {
    let Some(mut kafka) = or_not_run(Kafka::start()) else {
        return;
    };
    let brokers = kafka.brokers();
    kafka.create_topic("orders", 2);
    client::put_numbers(&brokers, "orders", 2, 0..20);
    kafka.stop();
    let recorder = Recorder::new();
    let begun = Instant::now();
    let running = pipes::recording(quick(&brokers, "g", "orders"), &recorder);
    let running = running.start().await.unwrap();
    let error = || running.handle().status().sources[0].error.clone();
    pipes::until("the error is told", || error().is_some()).await;
    assert!(begun.elapsed() < NOTICES, "after {:?}", begun.elapsed());
    let told = error().unwrap();
    assert!(
        told.contains("`brokers`") && told.contains(&brokers),
        "{told}"
    );
    block_in_place(|| kafka.restart()).unwrap();
    pipes::within(recorder.wait_for(20)).await;
    pipes::until("no error is left", || error().is_none()).await;
    drop(pipes::drained(running).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_and_started_again_is_found_again_by_source_and_sink() {
    let Some(mut kafka) = or_not_run(Kafka::start()) else {
        return;
    };
    let brokers = kafka.brokers();
    kafka.create_topic("from", 2);
    kafka.create_topic("to", 2);
    client::put_numbers(&brokers, "from", 2, 0..200);
    let source = KafkaSource::new(quick(&brokers, "g", "from")).unwrap();
    let unsettled = source.unsettled();
    let sink = KafkaSink::new(KafkaSinkOptions::new(&*brokers).topic("to")).unwrap();
    let copy = |record: towpath_kafka::KafkaRecord| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok::<_, BoxError>(Record::from(record))
    };
    let running = Flow::from(Source::new("kafka", source))
        .process(Processor::new("copy", copy))
        .sink(SinkStage::of::<Record>("topic", sink));
    let running = running.max_demand(8).start().await.unwrap();
    let done = || running.handle().status().counts.done;
    pipes::until("some are done", || done() > 20).await;
    block_in_place(|| kafka.kill());
    pipes::until("the error is told", || {
        pipes::sink_error(&running).is_some()
    })
    .await;
    let told = pipes::sink_error(&running).unwrap();
    assert!(
        told.contains("`brokers`") && told.contains(&brokers),
        "{told}"
    );
    block_in_place(|| kafka.restart()).unwrap();
    pipes::until("all are done", || done() >= 200).await;
    pipes::until("no error is left", || pipes::sink_error(&running).is_none()).await;
    // Where the broker was away for longer than the session, some come again.
    let committed = || client::committed(&brokers, "g", "from", 2);
    let all = || committed().is_ok_and(|all| all.values().sum::<i64>() == 200);
    pipes::until_blocking("all are committed", all).await;
    let settled = || unsettled.oldest().is_none();
    pipes::until("all are settled", settled).await;
    drop(pipes::drained(running).await);
    let mut stored: Vec<usize> = client::stored(&brokers, "to", 2)
        .unwrap()
        .iter()
        .map(|plain| {
            String::from_utf8_lossy(plain.payload.as_ref().unwrap())
                .parse()
                .unwrap()
        })
        .collect();
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored, (0..200).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_is_told_and_nothing_is_lost_when_it_goes_on() {
    let Some(mut kafka) = or_not_run(Kafka::start()) else {
        return;
    };
    let brokers = kafka.brokers();
    kafka.create_topic("orders", 1);
    client::put_numbers(&brokers, "orders", 1, 0..10);
    let recorder = Recorder::new();
    let options = quick(&brokers, "g", "orders").socket_timeout(Duration::from_secs(4));
    let running = pipes::recording(options, &recorder).start().await.unwrap();
    pipes::within(recorder.wait_for(10)).await;
    kafka.freeze();
    let frozen = Instant::now();
    let error = || running.handle().status().sources[0].error.clone();
    pipes::until("the error is told", || error().is_some()).await;
    assert!(frozen.elapsed() < NOTICES, "after {:?}", frozen.elapsed());
    kafka.thaw();
    block_in_place(|| client::put_numbers(&brokers, "orders", 1, 10..20));
    pipes::within(recorder.wait_for(20)).await;
    drop(pipes::drained(running).await);
    assert_eq!(
        client::committed(&brokers, "g", "orders", 1).unwrap()[&0],
        20
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_cut_off_loses_its_partitions_and_commits_nothing_late() {
    let Some((kafka, mut proxy)) = or_not_run(Kafka::start_with_proxy()) else {
        return;
    };
    let (brokers, cut_off) = (kafka.address().to_string(), proxy.addr().to_string());
    kafka.create_topic("orders", 2);
    client::put_numbers(&brokers, "orders", 2, 0..20);
    let (one, two) = (Lock::default(), Lock::default());
    let source = |brokers: &str| KafkaSource::new(quick(brokers, "g", "orders")).unwrap();
    let first = one.pipeline(source(&cut_off)).start().await.unwrap();
    pipes::until("all came to the first", || one.came().len() == 20).await;
    let second = two.pipeline(source(&brokers)).start().await.unwrap();
    proxy.cut();
    pipes::until("all came to the second", || two.came().len() == 20).await;
    two.pass(0..6);
    let committed = || client::committed(&brokers, "g", "orders", 2).unwrap();
    pipes::until_blocking("the second commits", || {
        committed().values().sum::<i64>() == 6
    })
    .await;
    // The first one has worked on, and finds its way back.
    one.open();
    proxy.heal();
    let stale = || first.handle().status().sources[0].settled.stale > 0;
    pipes::until("its outcomes are stale", stale).await;
    assert_eq!(
        block_in_place(committed).values().sum::<i64>(),
        6,
        "none is committed late"
    );
    two.open();
    pipes::until_blocking("all are committed", || {
        committed().values().sum::<i64>() == 20
    })
    .await;
    drop((pipes::drained(first).await, pipes::drained(second).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_ends_in_time_while_its_broker_is_away() {
    let Some(mut kafka) = or_not_run(Kafka::start()) else {
        return;
    };
    let brokers = kafka.brokers();
    kafka.create_topic("orders", 1);
    for hangs in [true, false] {
        client::put_numbers(&brokers, "orders", 1, 0..10);
        let lock = Lock::default();
        let source = KafkaSource::new(quick(&brokers, "g", "orders")).unwrap();
        let running = lock.pipeline(source).start().await.unwrap();
        pipes::until("all came", || lock.came().len() >= 10).await;
        if hangs {
            kafka.freeze();
        } else {
            block_in_place(|| kafka.kill());
        }
        lock.open();
        let begun = Instant::now();
        let handle = running.handle().clone();
        handle.stop(Duration::from_secs(2)).await;
        drop(running);
        assert!(begun.elapsed() < NOTICES, "after {:?}", begun.elapsed());
        kafka.thaw();
    }
}
