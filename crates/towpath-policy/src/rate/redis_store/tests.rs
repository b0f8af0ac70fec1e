//! What can be told without a server.

use std::time::Duration;

use super::{Quantities, RedisStore};
use crate::rate::{
    rate_value::Rate,
    store::{Quota, RateRequest, RateStore},
};

fn quantities(rate: Rate, weight: u32) -> [u128; 4] {
    Quantities::of(Quota::new(rate, 10), weight).0
}

#[test]
fn quantities_are_whole_and_as_small_as_they_get() {
    assert_eq!(
        quantities(Rate::per_second(500), 1),
        [1, 2_000, 2_000, 18_000]
    );
    let minute = Rate::new(30_000, Duration::from_secs(60));
    assert_eq!(quantities(minute, 10), [1, 2_000, 20_000, 0]);
    assert_eq!(
        quantities(Rate::per_second(7), 2),
        [7, 1_000_000, 2_000_000, 8_000_000]
    );
    assert_eq!(quantities(Rate::per_second(2_000_000), 0), [2, 1, 0, 10]);
}

#[test]
fn spaced_calls_may_owe_nothing() {
    let mut quota = Quota::new(Rate::per_second(500), 10);
    quota.spaced = true;
    assert_eq!(Quantities::of(quota, 3).0, [1, 2_000, 6_000, 0]);
}

#[test]
fn keys_of_different_budgets_are_different() {
    let store = RedisStore::new("redis://localhost").unwrap();
    let request = |name: &str| RateRequest::new(name, Quota::new(Rate::per_second(1), 1));
    let keys = [
        request("a"),
        request("a").key(7_u64),
        request("a").key("7"),
        request("a\":7").key("7"),
        request("a:7"),
    ];
    let mut keys = keys.map(|request| store.0.key(&request));
    assert_eq!(keys[1], "towpath:rate:\"a\":7");
    keys.sort();
    assert!(keys.windows(2).all(|two| two[0] != two[1]), "{keys:?}");
}

#[test]
fn no_password_is_printed() {
    let store = RedisStore::new("redis://user:secret@localhost:7/").unwrap();
    let printed = format!("{store:?}");
    assert!(printed.contains("localhost:7"), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");
    let error = RedisStore::new("redis://user:secret@:x/").unwrap_err();
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_and_left_alone_for_a_while() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let store = RedisStore::new(format!("redis://{address}"))
        .unwrap()
        .pause(Duration::from_secs(3600));
    let ask = || store.acquire(RateRequest::new("a", Quota::new(Rate::per_second(1), 1)));
    let first = format!("{:?}", ask().await.unwrap_err());
    assert!(!first.contains("Paused"), "{first}");
    let second = format!("{:?}", ask().await.unwrap_err());
    assert!(second.contains("Paused"), "{second}");
}
