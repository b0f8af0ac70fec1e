//! How much one claim brings where messages are large.

use towpath::{Outcome, core::Producer as _};
use towpath_postgres::{Entry, PostgresAcknowledger, PostgresSource, PostgresSourceOptions};

use crate::{
    place::Place,
    queue::queue,
    take::{Came, settle, take},
};

fn options(place: &Place) -> PostgresSourceOptions {
    PostgresSourceOptions::new(place.server(), place.table("jobs"))
}

fn ids(came: &[Came]) -> Vec<i64> {
    came.iter().map(|(job, ..)| job.id).collect()
}

/// Puts in messages of these sizes, as bytes that cannot be made smaller, or as zeroes.
async fn put(place: &Place, random: bool, sizes: &[usize]) {
    let payload = |(n, bytes): (usize, &usize)| {
        let mut state = n as u64 + 1;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            if random { (state >> 56) as u8 } else { 0 }
        };
        (0..*bytes).map(|_| next()).collect::<Vec<_>>()
    };
    let payloads = sizes.iter().enumerate().map(payload);
    queue(place).await.enqueue_many(payloads).await.unwrap();
}

fn source(place: &Place, bytes: u64) -> (PostgresSource, PostgresAcknowledger) {
    let mut source = PostgresSource::new(options(place).max_claim_bytes(bytes)).unwrap();
    let acknowledger = source.acknowledger().unwrap();
    (source, acknowledger)
}

/// Claims, and settles what comes.
async fn claim(
    (source, acknowledger): &mut (PostgresSource, PostgresAcknowledger),
    room: usize,
) -> Vec<i64> {
    let came = take(source, room).await;
    assert!(came.iter().all(|(.., origin)| origin.attempt == 1));
    let ids = ids(&came);
    settle(acknowledger, came, &Outcome::Done).await;
    ids
}

#[tokio::test]
async fn a_claim_ends_before_the_message_that_would_make_it_too_heavy() {
    for random in [false, true] {
        let Some(place) = Place::new().await else {
            return;
        };
        // Exactly as much as may be, a byte more, one that is larger alone, and empty ones.
        let sizes = [
            40_000, 60_000, 40_001, 60_000, 0, 0, 100_001, 0, 0, 100_000, 1,
        ];
        put(&place, random, &sizes).await;
        let mut came = Vec::new();
        for _ in 0..6 {
            // A source of its own for each: one that has met large messages asks for fewer.
            came.push(claim(&mut source(&place, 100_000), 100).await);
        }
        let expected = [
            vec![1, 2],
            vec![3],
            vec![4, 5, 6],
            vec![7],
            vec![8, 9, 10],
            vec![11],
        ];
        assert_eq!(came, expected, "the size counts before it is compressed");
    }
}

#[tokio::test]
async fn keys_and_headers_weigh_too() {
    let Some(place) = Place::new().await else {
        return;
    };
    let heavy = || {
        let headers = [("name", "v".repeat(300))].into_iter().collect();
        Entry::new("").key("k".repeat(300)).headers(headers)
    };
    let mut queue = queue(&place).await;
    queue.enqueue_many((0..4).map(|_| heavy())).await.unwrap();
    let mut source = source(&place, 1000);
    for id in 1..=4 {
        assert_eq!(claim(&mut source, 100).await, [id]);
    }
}

#[tokio::test]
async fn small_messages_come_as_many_at_once_as_there_is_room_for_also_after_large_ones() {
    let Some(place) = Place::new().await else {
        return;
    };
    let large = [50_000; 20];
    let small = [10; 500];
    put(&place, true, &[&large[..], &small[..]].concat()).await;
    let mut source = source(&place, 100_000);
    let (mut came, mut counts) = (Vec::new(), Vec::new());
    while came.len() < 520 {
        let some = claim(&mut source, 200).await;
        counts.push(some.len());
        came.extend(some);
    }
    assert!(came.into_iter().eq(1..=520), "in order");
    assert_eq!(counts[..10], [2; 10]);
    // What is asked for doubles from claim to claim.
    assert!(counts.len() <= 19, "{counts:?}");
    assert!(counts[10..].contains(&200), "{counts:?}");
}

#[tokio::test]
async fn what_was_too_heavy_for_one_source_is_there_for_another_at_once() {
    let Some(place) = Place::new().await else {
        return;
    };
    put(&place, true, &[1000; 6]).await;
    let few = || PostgresSource::new(options(&place).max_claim_bytes(2000)).unwrap();
    let (mut one, mut two) = (few(), few());
    assert_eq!(ids(&take(&mut one, 100).await), [1, 2]);
    assert_eq!(ids(&take(&mut two, 100).await), [3, 4]);
    assert_eq!(ids(&take(&mut one, 100).await), [5, 6]);
    assert_eq!(place.one("SELECT max(deliveries) FROM {s}.jobs").await, "1");
}

#[tokio::test]
async fn what_comes_again_after_its_lease_is_weighed_with_the_rest_and_comes_first() {
    let Some(place) = Place::new().await else {
        return;
    };
    put(&place, true, &[1000; 5]).await;
    let mut dies = PostgresSource::new(options(&place)).unwrap();
    assert_eq!(ids(&take(&mut dies, 3).await), [1, 2, 3]);
    drop(dies);
    let over = "UPDATE {s}.jobs SET lease_until = now() - interval '1 second'
        WHERE lease_until IS NOT NULL";
    place.sql(over).await;
    let mut next = PostgresSource::new(options(&place).max_claim_bytes(2000)).unwrap();
    let mut came = Vec::new();
    for _ in 0..3 {
        came.push(ids(&take(&mut next, 100).await));
    }
    assert_eq!(came, [vec![1, 2], vec![3, 4], vec![5]]);
}
