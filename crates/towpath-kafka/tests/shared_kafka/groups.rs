//! Partitions that move between the members of a group.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, sleep};
use towpath_kafka::{Assignment, KafkaSource, KafkaSourceOptions};

use crate::{
    broker::topic,
    client,
    pipes::{self, Lock, quick},
};

fn member(options: KafkaSourceOptions) -> KafkaSource {
    KafkaSource::new(options).unwrap()
}

fn total(committed: &std::collections::BTreeMap<i32, i64>) -> i64 {
    committed.values().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_is_settled_and_committed_before_its_partition_goes() {
    for assignment in [Assignment::CooperativeSticky, Assignment::Range] {
        let Some((brokers, topic)) = topic(4) else {
            return;
        };
        client::put_numbers(&brokers, &topic, 4, 0..40);
        let options = || quick(&brokers, "g", &topic).assignment(assignment);
        let (one, two) = (Lock::default(), Lock::default());
        let first = one.pipeline(member(options())).start().await.unwrap();
        pipes::until("all came to the first", || one.came().len() == 40).await;
        two.open();
        let second = two.pipeline(member(options())).start().await.unwrap();
        // The first one is asked for partitions, and holds them for what is in flight.
        sleep(Duration::from_secs(2)).await;
        assert_eq!(two.came(), Vec::<usize>::new(), "{assignment:?}");
        one.open();
        let holds = || total(&client::committed(&brokers, "g", &topic, 4).unwrap()) == 40;
        pipes::until_blocking("all are committed", holds).await;
        client::put_numbers(&brokers, &topic, 4, 40..80);
        let all = || one.came().len() + two.came().len() >= 80;
        pipes::until("all came", all).await;
        assert_eq!(
            two.came().iter().filter(|n| **n < 40).count(),
            0,
            "{assignment:?}: none twice"
        );
        assert_eq!(
            two.came().len(),
            20,
            "{assignment:?}: half of the partitions"
        );
        drop((pipes::drained(first).await, pipes::drained(second).await));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_hangs_holds_a_partition_until_the_deadline_and_is_stale_then() {
    let Some((brokers, topic)) = topic(2) else {
        return;
    };
    client::put_numbers(&brokers, &topic, 2, 0..20);
    let options = || quick(&brokers, "g", &topic).revoke_deadline(Duration::from_secs(2));
    let (one, two) = (Lock::default(), Lock::default());
    let first = one.pipeline(member(options())).start().await.unwrap();
    pipes::until("all came to the first", || one.came().len() == 20).await;
    two.open();
    let joined = Instant::now();
    let second = two.pipeline(member(options())).start().await.unwrap();
    pipes::until("half came to the second", || two.came().len() == 10).await;
    let waited = joined.elapsed();
    assert!(waited >= Duration::from_secs(2), "after {waited:?}");
    let moved = || total(&client::committed(&brokers, "g", &topic, 2).unwrap()) == 10;
    pipes::until_blocking("the second has committed", moved).await;
    one.open();
    let all = || total(&client::committed(&brokers, "g", &topic, 2).unwrap()) == 20;
    pipes::until_blocking("the first has committed what it kept", all).await;
    let report = pipes::drained(first).await;
    assert_eq!(report.sources[0].settled.stale, 10, "{report}");
    drop(pipes::drained(second).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_all_the_time_and_nothing_is_lost() {
    let Some((brokers, topic)) = topic(6) else {
        return;
    };
    let options = || quick(&brokers, "g", &topic);
    let stays = Lock::default();
    stays.open();
    let staying = stays.pipeline(member(options())).start().await.unwrap();
    let (mut came, mut put) = (Vec::new(), 0);
    for round in 0..4 {
        let guest = Lock::default();
        guest.open();
        let running = guest.pipeline(member(options())).start().await.unwrap();
        for _ in 0..5 {
            let next = put + 60;
            let put_more = || client::put_numbers(&brokers, &topic, 6, put..next);
            tokio::task::block_in_place(put_more);
            put = next;
            sleep(Duration::from_millis(300)).await;
        }
        // Every other one leaves in order, the others just vanish.
        match round % 2 {
            0 => drop(pipes::drained(running).await),
            _ => drop(running),
        }
        came.extend(guest.came());
    }
    let all = || {
        total(&client::committed(&brokers, "g", &topic, 6).unwrap()) == i64::try_from(put).unwrap()
    };
    pipes::until_blocking("all are committed", all).await;
    came.extend(stays.came());
    let distinct: BTreeSet<_> = came.iter().copied().collect();
    assert_eq!(distinct, (0..put).collect());
    drop(pipes::drained(staying).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_nobody_asks_for_messages_stays_in_its_group() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    client::put_numbers(&brokers, &topic, 1, 0..300);
    let options = quick(&brokers, "g", &topic)
        .rebalance_timeout(Duration::from_secs(7))
        .revoke_deadline(Duration::from_secs(2))
        .max_uncommitted(20.try_into().unwrap());
    let lock = Lock::default();
    let source = member(options);
    let running = lock.pipeline(source).start().await.unwrap();
    pipes::until("no more is taken", || lock.came().len() == 20).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(
        lock.came().len(),
        20,
        "a partition takes no more than may be uncommitted"
    );
    lock.open();
    let all = || client::committed(&brokers, "g", &topic, 1).unwrap().get(&0) == Some(&300);
    pipes::until_blocking("all are committed", all).await;
    assert_eq!(lock.came(), (0..300).collect::<Vec<_>>(), "each came once");
    let report = pipes::drained(running).await;
    assert_eq!(report.sources[0].settled.stale, 0, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_is_dropped_leaves_its_group_and_keeps_nobody_waiting() {
    let Some((brokers, topic)) = topic(1) else {
        return;
    };
    client::put_numbers(&brokers, &topic, 1, 0..10);
    // For so long a member that just vanishes is waited for.
    let session = Duration::from_secs(45);
    for round in 1..=3 {
        let lock = Lock::default();
        let options = quick(&brokers, "g", &topic).session_timeout(session);
        let running = lock.pipeline(member(options)).start().await.unwrap();
        let begun = Instant::now();
        pipes::until("all came", || lock.came().len() == 10).await;
        let waited = begun.elapsed();
        assert!(waited < session * 3 / 4, "round {round}: {waited:?}");
        let ending = Instant::now();
        drop(running);
        let took = ending.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}
