//! How messages are asked for.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, sleep};
use towpath::{
    Outcome,
    core::{Producer as _, Redelivery},
};
use towpath_nats::{DeliverFrom, JetStreamSourceOptions};

use super::{
    driver::{Driver, texts},
    server::{GROUP, STREAM, Server, until},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_server_hands_out_no_more_than_was_asked_for() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..100).await;
    let mut driver = Driver::new(server.source());
    assert_eq!(driver.source.redelivery(), Redelivery::Durable);
    let mut asked = 0;
    for demand in [1, 7, 20] {
        asked += demand;
        let came = driver.receive_all(demand).await;
        assert_eq!(came.len(), demand);
        let info = server.consumer(GROUP).await;
        assert_eq!((info.num_ack_pending, info.num_waiting), (asked, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_says_what_it_is_and_where_it_came_from() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..1).await;
    server.put("orders.old", 1..2).await;
    let mut driver = Driver::new(server.source());
    let lag = driver.source.lag().unwrap();
    assert_eq!(lag.get(), None);
    let came = driver.receive_all(1).await.remove(0);
    assert_eq!(lag.get(), Some(1));
    let origin = came.origin.clone();
    assert_eq!(origin.identity.unwrap().as_str(), "ORDERS:1");
    assert_eq!(origin.position.unwrap().offset, 1);
    assert_eq!(origin.attempt, 1);
    assert_eq!(
        (came.message.subject.as_str(), came.text()),
        ("orders.new", "0")
    );
    assert_eq!((&*came.message.stream, came.message.delivered), (STREAM, 1));
    assert!(came.message.published > Duration::from_secs(1_700_000_000));
    driver.confirm(came, Outcome::retry()).await;
    let came = driver.receive_all(2).await;
    assert_eq!(lag.get(), Some(0));
    let again = came.iter().find(|came| came.text() == "0").unwrap();
    assert_eq!((again.origin.attempt, again.message.delivered), (2, 2));
    assert_eq!(again.origin.identity.as_ref().unwrap().as_str(), "ORDERS:1");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_subject_of_the_filter_comes() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new.dk", 0..2).await;
    server.put("orders.old.dk", 2..4).await;
    server.put("orders.new.se", 4..6).await;
    let mut driver = Driver::new(server.source().filter_subject("orders.new.*"));
    assert_eq!(texts(&driver.receive_all(4).await), ["0", "1", "4", "5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_consumer_begins_where_it_is_told() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.a", 0..3).await;
    server.put("orders.b", 3..5).await;
    let cases = [
        ("all", DeliverFrom::All, vec![0, 1, 2, 3, 4]),
        ("new", DeliverFrom::New, vec![]),
        ("last", DeliverFrom::Last, vec![6]),
        ("subjects", DeliverFrom::LastPerSubject, vec![2, 7]),
        ("seventh", DeliverFrom::Sequence(7), vec![6, 7, 8]),
    ];
    for ((name, from, expected), last) in cases.into_iter().zip(5..) {
        let connection = server.connection();
        let options = JetStreamSourceOptions::new(connection, STREAM, name).deliver(from);
        let options = options.filter_subject("orders.>");
        let mut driver = Driver::new(options);
        if expected.is_empty() {
            wait_in_line(&server, &mut driver, name).await;
        }
        let mut came = driver.receive_all(expected.len()).await;
        server.put("orders.b", last..last + 1).await;
        came.extend(driver.receive_all(1).await);
        let numbers: Vec<usize> = came
            .iter()
            .map(|came| came.text().parse().unwrap())
            .collect();
        let expected: Vec<usize> = expected.into_iter().chain([last]).collect();
        assert_eq!(numbers, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_larger_than_a_request_comes_alone() {
    let Some(server) = Server::start().await else {
        return;
    };
    for size in [100, 5000, 200] {
        let payload = vec![b'x'; size].into();
        let sent = server.jetstream.publish("orders.new", payload).await;
        sent.unwrap().await.unwrap();
    }
    let mut driver = Driver::new(server.source().max_pull_bytes(1000));
    let came = driver.receive_all(3).await;
    let sizes: Vec<_> = came.iter().map(|came| came.message.payload.len()).collect();
    assert_eq!(sizes, [100, 5000, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_that_may_is_pending_a_source_waits_in_line_and_does_not_ask_again_and_again() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..4).await;
    let options = server.source().max_ack_pending(2);
    let mut first = Driver::new(options.clone());
    let mut came = first.receive_all(2).await;
    // Two of them wait: the second is told that others wait already.
    let (mut second, mut third) = (Driver::new(options.clone()), Driver::new(options));
    let (mut requests, begun) = (server.requests().await, Instant::now());
    let mut asked = 0;
    let mut both_wait = async |time| {
        let (two, three) = tokio::join!(
            second.receive_within(8, time),
            third.receive_within(8, time)
        );
        assert!(two.is_empty() && three.is_empty());
        asked += std::iter::from_fn(|| requests.next().now_or_never()).count();
        asked
    };
    until("both have asked", async || {
        both_wait(Duration::from_millis(300)).await >= 2
    })
    .await;
    let asked = both_wait(Duration::from_secs(2)).await;
    let seconds = begun.elapsed().as_secs();
    let most = 4 + usize::try_from(seconds).unwrap() / 3;
    assert!(asked <= most, "{asked} requests in {seconds} s");
    first.confirm(came.remove(0), Outcome::Done).await;
    let next = async {
        tokio::select! {
            came = second.receive(8) => came,
            came = third.receive(8) => came,
        }
    };
    assert_eq!(texts(&next.await.unwrap()), ["2"]);
}

/// Receives nothing, until a request of the source waits at the server; then nobody listens.
async fn wait_in_line(server: &Server, driver: &mut Driver, consumer: &str) {
    until("a request waits", async || {
        let came = driver.receive_within(8, Duration::from_millis(300)).await;
        assert!(came.is_empty());
        let stream = server.jetstream.get_stream(STREAM).await.unwrap();
        let info = stream.consumer_info(consumer).await;
        info.is_ok_and(|info| info.num_waiting == 1)
    })
    .await;
}

/// A source whose request was answered while nobody listened, and with how many messages.
async fn unheard(server: &Server, lease: Duration) -> (Driver, usize) {
    let mut driver = Driver::new(server.source().ack_wait(lease));
    wait_in_line(server, &mut driver, GROUP).await;
    // The request ends with what is there when the first message comes.
    server.put("orders.new", 0..5).await;
    let is_over = async || server.consumer(GROUP).await.num_waiting == 0;
    until("it is over", is_over).await;
    let unheard = server.consumer(GROUP).await.num_ack_pending;
    assert!((1..=5).contains(&unheard), "{unheard}");
    (driver, unheard)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pulled_and_not_taken_is_given_back_at_once_by_a_drain() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (mut driver, unheard) = unheard(&server, Duration::from_secs(60)).await;
    driver.drain().await;
    let came = Driver::new(server.source()).receive_all(5).await;
    let again = came.iter().filter(|came| came.origin.attempt == 2);
    assert_eq!(again.count(), unheard);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_nobody_listened_is_taken_when_somebody_does() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (mut driver, _) = unheard(&server, Duration::from_secs(60)).await;
    let came = driver.receive_all(5).await;
    assert_eq!(texts(&came), ["0", "1", "2", "3", "4"]);
    assert_eq!(server.consumer(GROUP).await.num_redelivered, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_out_while_nobody_listened_is_left_to_whoever_has_it_now() {
    let Some(server) = Server::start().await else {
        return;
    };
    let lease = Duration::from_secs(4);
    let (mut driver, unheard) = unheard(&server, lease).await;
    // Time has to pass: it is what this is about.
    sleep(lease + Duration::from_millis(200)).await;
    let came = driver.receive_all(5).await;
    let mut numbers = texts(&came);
    numbers.sort_unstable();
    assert_eq!(numbers, ["0", "1", "2", "3", "4"]);
    let again = came.iter().filter(|came| came.message.delivered == 2);
    assert_eq!(again.count(), unheard);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_deleted_meanwhile_is_made_again() {
    let Some(server) = Server::start().await else {
        return;
    };
    let options = server.source().pull_expires(Duration::from_secs(2));
    let mut driver = Driver::new(options);
    wait_in_line(&server, &mut driver, GROUP).await;
    let stream = server.jetstream.get_stream(STREAM).await.unwrap();
    stream.delete_consumer(GROUP).await.unwrap();
    let error = driver
        .receive(8)
        .await
        .err()
        .expect("the request has ended")
        .to_string();
    assert!(error.contains("request for messages"), "{error}");
    server.put("orders.new", 0..1).await;
    assert_eq!(texts(&driver.receive_all(1).await), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_a_consumer_are_kept() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..10).await;
    let stream = server.jetstream.get_stream(STREAM).await.unwrap();
    let config = pull::Config {
        durable_name: Some(GROUP.to_owned()),
        ack_policy: AckPolicy::Explicit,
        max_batch: 3,
        max_bytes: 2000,
        max_expires: Duration::from_secs(1),
        ..pull::Config::default()
    };
    stream.create_consumer(config).await.unwrap();
    let mut driver = Driver::new(server.source());
    assert_eq!(driver.receive_all(10).await.len(), 10);
}
