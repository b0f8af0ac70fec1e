//! How outcomes are told, and when not.

use std::time::Duration;

use tokio::{
    task::block_in_place,
    time::{Instant, sleep},
};
use towpath::{
    Cause, Outcome, Reason,
    core::{Acknowledger as _, Settled},
};

use super::{
    driver::{Driver, Run, texts},
    server::{GROUP, Server, until},
};

/// Longer than a busy machine stands still, with a third of it gone already.
const LEASE: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_is_confirmed_and_has_its_meaning() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..4).await;
    let mut driver = Driver::new(server.source());
    let outcomes = [
        Outcome::Done,
        Outcome::Drop(Reason::new("odd")),
        Outcome::Reject(Cause::new("test".into(), "bad")),
        Outcome::retry(),
    ];
    let came = driver.receive_all(4).await;
    let mut run: Run = came
        .into_iter()
        .map(|came| came.token)
        .zip(outcomes)
        .collect();
    let settled = driver.settle(&mut run).await.unwrap();
    assert_eq!((settled, run.len()), (Settled::confirmed(4), 0));
    let again = driver.receive_all(1).await;
    assert_eq!(texts(&again), ["3"]);
    assert_eq!(server.consumer(GROUP).await.num_ack_pending, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_outcomes_are_told_in_one_run() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..3000).await;
    let mut driver = Driver::new(server.source());
    let came = driver.receive_all(3000).await;
    let mut run: Run = came
        .into_iter()
        .map(|came| (came.token, Outcome::Done))
        .collect();
    let settled = driver.settle(&mut run).await.unwrap();
    assert_eq!((settled, run.len()), (Settled::confirmed(3000), 0));
    let info = server.consumer(GROUP).await;
    assert_eq!((info.num_ack_pending, info.num_pending), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_not_confirmed_by_a_server_that_hangs() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..3).await;
    let mut driver = Driver::new(server.source());
    let came = driver.receive_all(3).await;
    let mut run: Run = came
        .into_iter()
        .map(|came| (came.token, Outcome::Done))
        .collect();
    block_in_place(|| server.nats.freeze());
    let error = driver.settle(&mut run).await.unwrap_err().to_string();
    assert!(error.contains("did not answer"), "{error}");
    assert_eq!(run.len(), 3, "they are tried again");
    block_in_place(|| server.nats.thaw());
    are_told(&mut driver, run).await;
    assert_eq!(server.consumer(GROUP).await.num_ack_pending, 0);
}

/// Tells outcomes, again while that fails; the server confirms all of them.
async fn are_told(driver: &mut Driver, mut run: Run) {
    let (count, mut settled) = (run.len(), Settled::default());
    until("they are told", async || {
        match driver.settle(&mut run).await {
            Ok(now) => {
                settled = settled.and(now);
                run.is_empty()
            }
            Err(_) => false,
        }
    })
    .await;
    assert_eq!(settled, Settled::confirmed(count));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_not_confirmed_by_a_server_that_was_killed() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..3).await;
    let mut driver = Driver::new(server.source());
    let came = driver.receive_all(3).await;
    let mut run: Run = came
        .into_iter()
        .map(|came| (came.token, Outcome::Done))
        .collect();
    block_in_place(|| server.nats.kill());
    let error = driver.settle(&mut run).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot connect") || error.contains("was lost"),
        "{error}"
    );
    assert_eq!(run.len(), 3, "they are tried again");
    block_in_place(|| server.nats.restart()).unwrap();
    are_told(&mut driver, run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_confirmation_outcomes_count_as_sent() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..3).await;
    let mut driver = Driver::new(server.source().confirm(false));
    let came = driver.receive_all(3).await;
    let mut run: Run = came
        .into_iter()
        .map(|came| (came.token, Outcome::Done))
        .collect();
    assert_eq!(driver.settle(&mut run).await.unwrap(), Settled::sent(3));
    until("they are told", async || {
        server.consumer(GROUP).await.num_ack_pending == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_confirmation_nothing_is_sent_to_a_server_that_is_away() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..1).await;
    let mut driver = Driver::new(server.source().confirm(false));
    let came = driver.receive_all(1).await.remove(0);
    block_in_place(|| server.nats.kill());
    let mut run = vec![(came.token, Outcome::Done)];
    until("the loss is known", async || {
        driver.settle(&mut run).await.is_err()
    })
    .await;
    assert_eq!(run.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_comes_again_after_its_delay_and_not_before() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..1).await;
    let mut driver = Driver::new(server.source());
    let came = driver.receive_all(1).await.remove(0);
    let (delay, begun) = (Duration::from_millis(800), Instant::now());
    driver.confirm(came, Outcome::retry_after(delay)).await;
    let again = driver.receive_all(1).await.remove(0);
    // Servers count milliseconds, and begin somewhere in one.
    let waited = begun.elapsed() + Duration::from_millis(2);
    assert!(waited >= delay, "after {waited:?}");
    assert_eq!(again.origin.attempt, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_extended_stays_and_what_is_not_runs_out() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..1).await;
    let mut driver = Driver::new(server.source().ack_wait(LEASE));
    let mut other = Driver::new(server.source().ack_wait(LEASE));
    let came = driver.receive_all(1).await.remove(0);
    let every = driver.acknowledger.extend_every().unwrap();
    // Time has to pass: it is what this is about.
    for _ in 0..6 {
        sleep(every).await;
        driver.acknowledger.extend().await.unwrap();
    }
    assert_eq!(server.consumer(GROUP).await.num_redelivered, 0);
    let again = other.receive_all(1).await.remove(0);
    assert_eq!(again.message.delivered, 2);
    // It is another's now: nothing is said, whatever it is.
    let mut late = vec![(came.token, Outcome::Done)];
    assert_eq!(driver.settle(&mut late).await.unwrap(), Settled::stale(1));
    assert_eq!(server.consumer(GROUP).await.num_ack_pending, 1);
    other.confirm(again, Outcome::Done).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_extended_beyond_what_it_may_be_held_at_most() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..1).await;
    let options = server.source().ack_wait(LEASE);
    let mut driver = Driver::new(options.clone().hold_at_most(LEASE / 2));
    let _held = driver.receive_all(1).await.remove(0);
    let every = driver.acknowledger.extend_every().unwrap();
    for _ in 0..4 {
        sleep(every).await;
        driver.acknowledger.extend().await.unwrap();
    }
    let again = Driver::new(options).receive_all(1).await.remove(0);
    assert_eq!(again.message.delivered, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_for_a_consumer_that_is_gone_are_no_success() {
    let Some(server) = Server::start().await else {
        return;
    };
    server.put("orders.new", 0..1).await;
    let mut driver = Driver::new(server.source());
    let came = driver.receive_all(1).await.remove(0);
    let stream = server.jetstream.get_stream("ORDERS").await.unwrap();
    stream.delete_consumer(GROUP).await.unwrap();
    let mut run = vec![(came.token, Outcome::Done)];
    let error = driver.settle(&mut run).await.unwrap_err().to_string();
    assert!(error.contains("the consumer is gone"), "{error}");
    assert_eq!(run.len(), 1);
}
