//! Lanes: order per key over processes, kept by the server.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use towpath::{BoxError, Failure, Flow, Outcome, Processor, Running, Source};
use towpath_nats::{
    JetStreamMessage, JetStreamSource, JetStreamSourceOptions, Lanes, lane_subject,
};
use towpath_test::check;

use super::{
    driver::{Driver, texts},
    server::{STREAM, Server, until},
};

const PREFIX: &str = "orders.by-customer";
const KEYS: usize = 10;
const LEASE: Duration = Duration::from_secs(5);
/// How much later than the lease is over everything may be done: less than any other lease.
const SLACK: Duration = Duration::from_secs(20);

fn lanes() -> NonZeroU32 {
    NonZeroU32::new(4).unwrap()
}

fn options(server: &Server) -> JetStreamSourceOptions {
    JetStreamSourceOptions::new(server.connection(), STREAM, "lanes")
        .lanes(Lanes::new(PREFIX, lanes()))
        .ack_wait(LEASE)
}

/// Publishes `key/number`, for the keys in turn.
async fn put(server: &Server, each: usize) {
    for number in 0..each {
        for key in 0..KEYS {
            let subject = lane_subject(PREFIX, format!("key-{key}"), lanes());
            let payload = format!("{key}/{number}").into();
            let sent = server.jetstream.publish(subject, payload).await;
            sent.unwrap().await.unwrap();
        }
    }
}

/// What was done, in order: which number of which key.
type Done = Arc<Mutex<Vec<(usize, usize)>>>;

async fn member(server: &Server, done: &Done, max_demand: usize, fail_one_in: u64) -> Running {
    let source = JetStreamSource::new(options(server)).unwrap();
    let done = done.clone();
    let work = Processor::new("work", move |message: JetStreamMessage| {
        let done = done.clone();
        async move {
            let text = String::from_utf8_lossy(&message.payload).into_owned();
            let (key, number) = text.split_once('/').unwrap();
            sleep(Duration::from_millis(3)).await;
            if message.delivered == 1 && message.stream_sequence.is_multiple_of(fail_one_in) {
                let failure = Failure::retry("not yet").after(Duration::from_millis(50));
                return Err(BoxError::from(failure));
            }
            done.lock()
                .unwrap()
                .push((key.parse().unwrap(), number.parse().unwrap()));
            Ok(())
        }
    });
    let flow = Flow::from(Source::new("orders", source)).process(work.unordered(8));
    flow.acknowledge()
        .max_demand(max_demand)
        .start()
        .await
        .unwrap()
}

fn in_order(done: &Done, each: usize) {
    let mut by_key: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (key, number) in done.lock().unwrap().iter() {
        by_key.entry(*key).or_default().push(*number);
    }
    assert_eq!(by_key.len(), KEYS);
    for (key, mut numbers) in by_key {
        // One that was done, and whose outcome the server does not know, comes again in place.
        numbers.dedup();
        assert_eq!(numbers, (0..each).collect::<Vec<_>>(), "of key {key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_keep_the_order_of_each_key_also_of_what_is_given_back() {
    let Some(server) = Server::start().await else {
        return;
    };
    put(&server, 12).await;
    let done = Done::default();
    let members = [
        member(&server, &done, 8, 7).await,
        member(&server, &done, 8, 7).await,
    ];
    let all = || done.lock().unwrap().len() >= 12 * KEYS;
    until("all is done", async || all()).await;
    for member in members {
        member.handle().drain();
        check(&member.join().await.unwrap());
    }
    in_order(&done, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_lanes_get_their_turn_where_there_is_room_for_one_message_only() {
    let Some(server) = Server::start().await else {
        return;
    };
    put(&server, 3).await;
    let done = Done::default();
    let member = member(&server, &done, 1, u64::MAX).await;
    until("all is done", async || {
        done.lock().unwrap().len() == 3 * KEYS
    })
    .await;
    member.handle().drain();
    check(&member.join().await.unwrap());
    in_order(&done, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lanes_of_a_member_that_vanished_go_on_in_order_within_the_lease() {
    let Some(server) = Server::start().await else {
        return;
    };
    put(&server, 2).await;
    let mut gone = Driver::new(options(&server));
    let first = gone.receive_all(1).await.remove(0);
    let (first, taken) = (first.text().to_owned(), first);
    drop(gone);
    let begun = Instant::now();
    let done = Done::default();
    let member = member(&server, &done, 8, u64::MAX).await;
    until("all is done", async || {
        done.lock().unwrap().len() >= 2 * KEYS
    })
    .await;
    assert!(begun.elapsed() < LEASE + SLACK, "{:?}", begun.elapsed());
    member.handle().drain();
    check(&member.join().await.unwrap());
    in_order(&done, 2);
    drop((first, taken));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_of_a_lane_comes_when_the_one_before_is_done() {
    let Some(server) = Server::start().await else {
        return;
    };
    let subject = lane_subject(PREFIX, "key-1", lanes());
    server.put(&subject, 0..2).await;
    let mut driver = Driver::new(options(&server));
    let first = driver.receive_all(1).await.remove(0);
    assert_eq!(first.text(), "0");
    assert!(
        driver
            .receive_within(8, Duration::from_millis(500))
            .await
            .is_empty()
    );
    driver.confirm(first, Outcome::Done).await;
    assert_eq!(texts(&driver.receive_all(1).await), ["1"]);
}
