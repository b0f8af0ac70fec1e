//! What the script does, asked by one process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use redis::Commands;
use towpath_policy::{Decision, Quota, Rate, RateRequest, RateStore, RedisStore};

use crate::server::Server;

const SOON: Duration = Duration::from_secs(20);

async fn ask(store: &RedisStore, request: &RateRequest) -> Decision {
    store.acquire(request.clone()).await.unwrap()
}

/// How many tokens of weight one there are at once.
async fn drain(store: &RedisStore, request: &RateRequest) -> u32 {
    let mut admitted = 0;
    while ask(store, request).await == Decision::Admitted {
        admitted += 1;
    }
    admitted
}

fn request(name: &str, rate: Rate, burst: u32) -> RateRequest {
    RateRequest::new(name, Quota::new(rate, burst))
}

fn hourly(count: u32) -> Rate {
    Rate::new(count, Duration::from_secs(3600))
}

#[tokio::test]
async fn a_budget_admits_its_burst_and_then_says_how_long_to_wait() {
    let Some(server) = Server::start() else {
        return;
    };
    let (store, request) = (server.store(), request("api", hourly(1), 5));
    assert_eq!(drain(&store, &request).await, 5);
    let Decision::Wait(time) = ask(&store, &request).await else {
        panic!("there is nothing left")
    };
    let hour = Duration::from_secs(3600);
    assert!(
        time <= hour && time > Duration::from_secs(59 * 60),
        "{time:?}"
    );
}

#[tokio::test]
async fn names_and_keys_have_budgets_of_their_own() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let one = request("api", hourly(1), 1);
    for request in [
        one.clone(),
        request("other", hourly(1), 1),
        one.clone().key(7_u64),
        one.key("7"),
    ] {
        assert_eq!(drain(&store, &request).await, 1, "{request:?}");
    }
}

#[tokio::test]
async fn weights_are_taken_whole_or_not_at_all() {
    let Some(server) = Server::start() else {
        return;
    };
    let (store, one) = (server.store(), request("api", hourly(1), 10));
    assert_eq!(
        ask(&store, &one.clone().weight(7)).await,
        Decision::Admitted
    );
    assert!(matches!(
        ask(&store, &one.clone().weight(4)).await,
        Decision::Wait(_)
    ));
    assert_eq!(
        ask(&store, &one.clone().weight(3)).await,
        Decision::Admitted
    );
    assert!(matches!(ask(&store, &one).await, Decision::Wait(_)));
}

#[tokio::test]
async fn spaced_calls_keep_their_distance() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let mut spaced = request("api", hourly(60), 60);
    spaced.quota.spaced = true;
    assert_eq!(
        ask(&store, &spaced.clone().weight(30)).await,
        Decision::Admitted
    );
    let Decision::Wait(time) = ask(&store, &spaced).await else {
        panic!("the next comes thirty minutes later")
    };
    assert!(time > Duration::from_secs(29 * 60) && time <= Duration::from_secs(30 * 60));
}

#[tokio::test]
async fn what_is_owed_stays_owed_at_another_rate() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    assert_eq!(drain(&store, &request("api", hourly(60), 100)).await, 100);
    assert_eq!(drain(&store, &request("api", hourly(7), 100)).await, 0);
    assert_eq!(drain(&store, &request("api", hourly(7), 150)).await, 50);
}

#[tokio::test]
async fn what_is_denied_writes_nothing() {
    let Some(server) = Server::start() else {
        return;
    };
    let (store, request) = (server.store(), request("api", hourly(1), 2));
    drain(&store, &request).await;
    let mut connection = server.connection();
    let key = "towpath:rate:\"api\"";
    let before: String = connection.get(key).unwrap();
    drain(&store, &request).await;
    let after: String = connection.get(key).unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_budget_that_is_full_again_leaves_no_key() {
    let Some(server) = Server::start() else {
        return;
    };
    let (store, request) = (server.store(), request("api", Rate::per_second(4), 20));
    drain(&store, &request).await;
    let mut connection = server.connection();
    let left: i64 = connection.pttl("towpath:rate:\"api\"").unwrap();
    assert!((500..=5002).contains(&left), "{left} ms until it is full");
    let start = tokio::time::Instant::now();
    while connection.dbsize() > 0 {
        assert!(start.elapsed() < SOON, "the key stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_by_an_hour_stops_nothing_and_floods_nothing() {
    let Some(server) = Server::start() else {
        return;
    };
    let (store, request) = (server.store(), request("api", hourly(1_200), 10));
    drain(&store, &request).await;
    move_back(&server, -3_600_000_000);
    assert!(drain(&store, &request).await <= 1);
    let start = tokio::time::Instant::now();
    while ask(&store, &request).await != Decision::Admitted {
        assert!(start.elapsed() < SOON, "nothing is earned");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_set_forward_by_an_hour_grants_no_more_than_a_burst() {
    let Some(server) = Server::start() else {
        return;
    };
    let (store, request) = (server.store(), request("api", hourly(1_200), 10));
    drain(&store, &request).await;
    move_back(&server, 3_600_000_000);
    assert!((10..=11).contains(&drain(&store, &request).await));
}

/// As if what is kept had been written by a clock that was behind by so much.
fn move_back(server: &Server, micros: i64) {
    let (mut connection, key) = (server.connection(), "towpath:rate:\"api\"");
    let kept: String = connection.get(key).unwrap();
    let (at, rest) = kept.split_once(':').unwrap();
    let at = at.parse::<i64>().unwrap() - micros;
    let () = connection.set(key, format!("{at}:{rest}")).unwrap();
}

#[tokio::test]
async fn a_server_that_forgot_the_script_is_told_again() {
    let Some(server) = Server::start() else {
        return;
    };
    let (store, request) = (server.store(), request("api", hourly(1), 2));
    assert_eq!(ask(&store, &request).await, Decision::Admitted);
    redis::cmd("SCRIPT")
        .arg("FLUSH")
        .exec(&mut server.connection())
        .unwrap();
    assert_eq!(ask(&store, &request).await, Decision::Admitted);
}

trait Size {
    fn dbsize(&mut self) -> usize;
}

impl Size for redis::Connection {
    fn dbsize(&mut self) -> usize {
        redis::cmd("DBSIZE").query(self).unwrap()
    }
}
