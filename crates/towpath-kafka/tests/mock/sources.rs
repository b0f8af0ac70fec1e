//! Sources while brokers play up.

use std::time::Duration;

use rdkafka::{mocking::MockCoordinator, types::RDKafkaApiKey, types::RDKafkaRespErr as Fault};
use towpath_kafka::{KafkaSource, KafkaSourceOptions};
use towpath_test::Recorder;

use crate::{
    client,
    cluster::{TOPIC, cluster},
    pipes::{self, Lock, quick},
};

fn source(options: KafkaSourceOptions) -> KafkaSource {
    KafkaSource::new(options).unwrap()
}

fn committed(brokers: &str) -> i64 {
    let committed = client::committed(brokers, "g", TOPIC, 1);
    committed.map_or(-1, |all| all.get(&0).copied().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_comes_at_a_bad_moment_is_made_again_and_confirmed() {
    let (cluster, brokers) = cluster(1, 1);
    client::put_numbers(&brokers, TOPIC, 1, 0..10);
    let passing = [
        Fault::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
        Fault::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        Fault::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        Fault::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
    ];
    cluster.request_errors(RDKafkaApiKey::OffsetCommit, &passing);
    let recorder = Recorder::new();
    let running = pipes::recording(quick(&brokers, "g", TOPIC), &recorder);
    let running = running.start().await.unwrap();
    pipes::within(recorder.wait_for(10)).await;
    pipes::until_blocking("all are committed", || committed(&brokers) == 10).await;
    let report = pipes::drained(running).await;
    let settled = report.sources[0].settled;
    assert_eq!((settled.failed, settled.stale), (0, 0), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_are_refused_are_counted_and_go_with_the_next_ones() {
    let (cluster, brokers) = cluster(1, 1);
    client::put_numbers(&brokers, TOPIC, 1, 0..1);
    let refused = [Fault::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 8];
    cluster.request_errors(RDKafkaApiKey::OffsetCommit, &refused);
    let lock = Lock::default();
    lock.open();
    let running = lock
        .pipeline(source(quick(&brokers, "g", TOPIC)))
        .start()
        .await
        .unwrap();
    let failed = || running.handle().status().sources[0].settled.failed;
    pipes::until("it is given up", || failed() == 1).await;
    assert_eq!(tokio::task::block_in_place(|| committed(&brokers)), 0);
    client::put_numbers(&brokers, TOPIC, 1, 1..2);
    pipes::until_blocking("both are committed", || committed(&brokers) == 2).await;
    let report = pipes::drained(running).await;
    assert_eq!(report.sources[0].settled.failed, 1, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_its_group_has_forgotten_is_fenced_at_once_and_comes_back() {
    let (cluster, brokers) = cluster(1, 1);
    client::put_numbers(&brokers, TOPIC, 1, 0..10);
    let options = quick(&brokers, "g", TOPIC).revoke_deadline(Duration::from_secs(8));
    let lock = Lock::default();
    let running = lock.pipeline(source(options)).start().await.unwrap();
    pipes::until("all came", || lock.came().len() == 10).await;
    cluster.request_errors(
        RDKafkaApiKey::Heartbeat,
        &[Fault::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID],
    );
    // Nobody settles the first deliveries: only a partition that is let go at once comes back.
    pipes::until("all came again", || lock.came().len() == 20).await;
    assert_eq!(tokio::task::block_in_place(|| committed(&brokers)), 0);
    lock.open();
    pipes::until_blocking("all are committed", || committed(&brokers) == 10).await;
    let report = pipes::drained(running).await;
    let settled = report.sources[0].settled;
    assert_eq!((settled.stale, settled.failed), (10, 0), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_cannot_go_on_is_told_and_another_one_takes_its_place() {
    let (cluster, brokers) = cluster(1, 1);
    client::put_numbers(&brokers, TOPIC, 1, 0..10);
    let options = quick(&brokers, "g", TOPIC).instance("one");
    let recorder = Recorder::new();
    let running = pipes::recording(options, &recorder).start().await.unwrap();
    pipes::within(recorder.wait_for(10)).await;
    pipes::until_blocking("all are committed", || committed(&brokers) == 10).await;
    cluster.request_errors(
        RDKafkaApiKey::Heartbeat,
        &[Fault::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID],
    );
    let error = || running.handle().status().sources[0].error.clone();
    let told = || error().is_some_and(|error| error.contains("the client cannot go on"));
    pipes::until("it is told", told).await;
    client::put_numbers(&brokers, TOPIC, 1, 10..20);
    pipes::within(recorder.wait_for(20)).await;
    pipes::until("no error is left", || error().is_none()).await;
    pipes::until_blocking("all are committed", || committed(&brokers) == 20).await;
    assert_eq!(recorder.items().len(), 20, "none came twice");
    drop(pipes::drained(running).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broker_of_several_that_is_down_is_no_trouble_and_all_of_them_are() {
    let (cluster, brokers) = cluster(2, 1);
    cluster.partition_leader(TOPIC, 0, Some(1)).unwrap();
    let group = MockCoordinator::Group("g".to_owned());
    cluster.coordinator(group, 1).unwrap();
    client::put_numbers(&brokers, TOPIC, 1, 0..10);
    let recorder = Recorder::new();
    let running = pipes::recording(quick(&brokers, "g", TOPIC), &recorder);
    let running = running.start().await.unwrap();
    pipes::within(recorder.wait_for(10)).await;
    let error = || running.handle().status().sources[0].error.clone();
    cluster.broker_down(2).unwrap();
    client::put_numbers(&brokers, TOPIC, 1, 10..20);
    pipes::within(recorder.wait_for(20)).await;
    assert_eq!(error(), None);
    cluster.broker_down(1).unwrap();
    pipes::until("it is told", || error().is_some()).await;
    assert!(
        error().unwrap().contains("no broker of `brokers`"),
        "{:?}",
        error()
    );
    cluster.broker_up(1).unwrap();
    client::put_numbers(&brokers, TOPIC, 1, 20..30);
    pipes::within(recorder.wait_for(30)).await;
    pipes::until("no error is left", || error().is_none()).await;
    drop(pipes::drained(running).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_moves_loses_no_commit() {
    let (cluster, brokers) = cluster(2, 1);
    let coordinator = |broker| {
        let group = MockCoordinator::Group("g".to_owned());
        cluster.coordinator(group, broker).unwrap();
    };
    coordinator(1);
    client::put_numbers(&brokers, TOPIC, 1, 0..10);
    let lock = Lock::default();
    let running = lock
        .pipeline(source(quick(&brokers, "g", TOPIC)))
        .start()
        .await
        .unwrap();
    pipes::until("all came", || lock.came().len() == 10).await;
    coordinator(2);
    lock.open();
    client::put_numbers(&brokers, TOPIC, 1, 10..20);
    pipes::until_blocking("all are committed", || committed(&brokers) == 20).await;
    let report = pipes::drained(running).await;
    assert_eq!(report.sources[0].settled.failed, 0, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_must_not_be_used_is_told_by_name() {
    let (cluster, brokers) = cluster(1, 1);
    let refused = [Fault::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 3];
    cluster.request_errors(RDKafkaApiKey::FindCoordinator, &refused);
    let recorder = Recorder::<usize>::new();
    let running = pipes::recording(quick(&brokers, "g", TOPIC), &recorder);
    let running = running.start().await.unwrap();
    let error = || running.handle().status().sources[0].error.clone();
    let told = || error().is_some_and(|error| error.contains("`group` g"));
    pipes::until("it is told", told).await;
    client::put_numbers(&brokers, TOPIC, 1, 0..1);
    pipes::within(recorder.wait_for(1)).await;
    drop(pipes::drained(running).await);
}
