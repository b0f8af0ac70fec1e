//! How far a group is told that everything is settled.

use std::time::Duration;

use towpath::{BoxError, Flow, Processor, Source};
use towpath_kafka::{KafkaRecord, KafkaSource};
use towpath_test::Recorder;

use crate::{
    broker::topic,
    client,
    pipes::{self, Lock, quick},
};

/// Where the only partition of a topic is committed.
async fn is_committed(brokers: &str, group: &str, topic: &str, offset: i64) {
    let what = format!("{offset} is committed");
    let holds = || client::committed(brokers, group, topic, 1).unwrap().get(&0) == Some(&offset);
    pipes::until_blocking(&what, holds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_never_passes_a_message_that_is_not_done() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    client::put_numbers(&brokers, &topic, 1, 0..10);
    let lock = Lock::default();
    let source = KafkaSource::new(quick(&brokers, "g", &topic)).unwrap();
    let unsettled = source.unsettled();
    let running = lock.pipeline(source).start().await.unwrap();
    pipes::until("all came", || lock.came().len() == 10).await;
    lock.pass([1, 2, 4, 9]);
    lock.pass([0]);
    is_committed(&brokers, "g", &topic, 3).await;
    let oldest = unsettled.oldest().unwrap();
    assert_eq!(
        (oldest.offset, oldest.partition, &*oldest.topic),
        (3, 0, &*topic)
    );
    lock.pass([3]);
    is_committed(&brokers, "g", &topic, 5).await;
    lock.open();
    is_committed(&brokers, "g", &topic, 10).await;
    assert_eq!(unsettled.oldest(), None);
    let report = pipes::drained(running).await;
    assert_eq!(report.sources[0].settled.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_at_the_commit_and_repeats_what_was_behind_it() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    client::put_numbers(&brokers, &topic, 1, 0..10);
    let lock = Lock::default();
    let source = || KafkaSource::new(quick(&brokers, "g", &topic)).unwrap();
    let running = lock.pipeline(source()).start().await.unwrap();
    pipes::until("all came", || lock.came().len() == 10).await;
    lock.pass([0, 1, 2, 4, 5]);
    is_committed(&brokers, "g", &topic, 3).await;
    drop(running);
    let again = Lock::default();
    again.open();
    let running = again.pipeline(source()).start().await.unwrap();
    is_committed(&brokers, "g", &topic, 10).await;
    let mut came = again.came();
    came.sort_unstable();
    assert_eq!(came, (3..10).collect::<Vec<_>>());
    drop(pipes::drained(running).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_fails_comes_again_after_its_delay_and_is_never_committed_over() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    client::put_numbers(&brokers, &topic, 1, 0..6);
    let lock = Lock::default();
    lock.open();
    let delay = Duration::from_millis(400);
    lock.fail([2], delay);
    let begun = tokio::time::Instant::now();
    let source = KafkaSource::new(quick(&brokers, "g", &topic)).unwrap();
    let unsettled = source.unsettled();
    let running = lock.pipeline(source).start().await.unwrap();
    pipes::until("it came four times", || lock.attempts(2).len() >= 4).await;
    assert!(begun.elapsed() >= 3 * delay, "after {:?}", begun.elapsed());
    is_committed(&brokers, "g", &topic, 2).await;
    assert_eq!(unsettled.oldest().map(|oldest| oldest.offset), Some(2));
    lock.fail([], delay);
    is_committed(&brokers, "g", &topic, 6).await;
    assert_eq!(
        lock.came().iter().filter(|n| **n != 2).count(),
        5,
        "the others came once"
    );
    let report = pipes::drained(running).await;
    // Once more for each time that went by before it was told to succeed.
    let attempts = lock.attempts(2);
    assert!(
        attempts.iter().copied().eq((1..).take(attempts.len())),
        "{attempts:?}"
    );
    let all = report.sources[0].redelivered + 1;
    assert_eq!(all, attempts.len() as u64, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_fails_too_often_is_a_dead_letter_and_is_committed_over() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    client::put_numbers(&brokers, &topic, 1, 0..6);
    let lock = Lock::default();
    lock.open();
    lock.fail([2], Duration::from_millis(1));
    let source = KafkaSource::new(quick(&brokers, "g", &topic)).unwrap();
    let letters = Recorder::new();
    let pipeline = lock
        .pipeline(source)
        .max_attempts(3)
        .dead_letter(letters.sink("letters"));
    let running = pipeline.start().await.unwrap();
    is_committed(&brokers, "g", &topic, 6).await;
    assert_eq!(lock.attempts(2), [1, 2, 3]);
    let position = letters.items()[0].origin.position.unwrap();
    assert_eq!((position.partition, position.offset), (0, 2));
    drop(pipes::drained(running).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_to_be_delivered_again_at_a_drain_comes_after_a_restart() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    client::put_numbers(&brokers, &topic, 1, 0..4);
    let lock = Lock::default();
    lock.open();
    lock.fail([1], Duration::from_secs(600));
    let source = || KafkaSource::new(quick(&brokers, "g", &topic)).unwrap();
    let first = source();
    let unsettled = first.unsettled();
    let running = lock.pipeline(first).start().await.unwrap();
    pipes::until("it waits", || {
        unsettled.waiting() == 1 && lock.came().len() == 4
    })
    .await;
    // Within much less than the delay.
    drop(pipes::drained(running).await);
    assert_eq!(client::committed(&brokers, "g", &topic, 1).unwrap()[&0], 1);
    let again = Lock::default();
    again.open();
    let running = again.pipeline(source()).start().await.unwrap();
    is_committed(&brokers, "g", &topic, 4).await;
    assert_eq!(again.came(), [1, 2, 3]);
    drop(pipes::drained(running).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_rejected_or_left_out_are_committed_over() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    client::put_numbers(&brokers, &topic, 1, 0..30);
    let sort = |record: KafkaRecord| async move {
        match pipes::number(&record) % 3 {
            0 => Ok(()),
            1 => Err(BoxError::from("odd")),
            _ => Err(towpath::Failure::drop("not wanted").into()),
        }
    };
    let source = KafkaSource::new(quick(&brokers, "g", &topic)).unwrap();
    let running = Flow::from(Source::new("kafka", source))
        .process(Processor::new("sort", sort))
        .sink(Recorder::new().sink("record"));
    let running = running.start().await.unwrap();
    is_committed(&brokers, "g", &topic, 30).await;
    let report = pipes::drained(running).await;
    assert_eq!(
        (
            report.counts.done,
            report.counts.rejected,
            report.counts.dropped
        ),
        (10, 10, 10)
    );
}
