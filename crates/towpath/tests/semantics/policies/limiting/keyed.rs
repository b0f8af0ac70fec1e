//! A budget for each key, and calls that cost more than one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;
use towpath::{
    Flow, Outcome, PipelineHandle, PolicyStatus, Processor, RateLimit,
    policy::{RateLimited, find},
};
use towpath_test::{TestSource, check};

use super::{Budget, SECOND, Seen, ms};

/// The key of a message, and which of its key it is.
type Numbered = (u64, u64);

fn at_once<T>(_: &T) -> Duration {
    Duration::ZERO
}

/// When the calls of each key began.
fn by_key(seen: &Seen<Numbered>) -> BTreeMap<u64, Vec<(Instant, u64)>> {
    let mut keys = BTreeMap::<_, Vec<_>>::new();
    for (at, (key, n)) in seen.all() {
        keys.entry(key).or_default().push((at, n));
    }
    keys
}

fn of_the_limit(handle: &PipelineHandle, stage: &str) -> (usize, usize) {
    for policy in handle.policies(stage).unwrap() {
        if let PolicyStatus::RateLimit { waiting, keys, .. } = policy {
            return (waiting, keys.unwrap_or(0));
        }
    }
    panic!("no limit");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_waits_holds_no_slot_even_where_there_is_only_one() {
    let slow = (0..10).map(|n| (0, n));
    let others = (1..=100).map(|key| (key, 0));
    let (source, outcomes) = TestSource::of(slow.chain(others));
    let (seen, begun) = (Seen::<Numbered>::new(), Instant::now());
    let limit = RateLimit::per_second(1).burst(1).by_key(|m: &Numbered| m.0);
    let running = Flow::from(source)
        .process(
            Processor::new("call", seen.handler(|_| ms(1)))
                .rate_limit(limit)
                .unordered(1)
                .workers(1),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    outcomes.wait_for(101).await;
    assert_eq!(begun.elapsed(), ms(101), "one call of each key, one by one");
    assert_eq!(
        of_the_limit(running.handle(), "call").0,
        9,
        "the rest waits"
    );
    check(&running.join().await.unwrap());
    assert_eq!(outcomes.count("done"), 110);
    let times: Vec<_> = by_key(&seen)[&0].clone();
    assert!(times.iter().map(|call| call.1).eq(0..10), "{times:?}");
    for pair in times.windows(2) {
        let gap = pair[1].0.duration_since(pair[0].0);
        assert!((SECOND..=SECOND + ms(1)).contains(&gap), "{gap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_key_keeps_its_rate_in_every_interval_and_its_order() {
    let keys = 7;
    let (source, outcomes) = TestSource::of((0..700).map(move |n| (n % keys, n / keys)));
    let (seen, begun) = (Seen::<Numbered>::new(), Instant::now());
    let limit = RateLimit::per_second(20)
        .burst(4)
        .by_key(|m: &Numbered| m.0);
    let report = Flow::from(source)
        .process(
            Processor::new("call", seen.handler(|m: &Numbered| ms(m.1 % 13)))
                .rate_limit(limit)
                .unordered(16)
                .workers(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 700);
    let budget = Budget::per_second(20, 4);
    let calls = by_key(&seen);
    for (key, calls) in &calls {
        let times: Vec<_> = calls.iter().map(|call| call.0).collect();
        budget.holds_for(&times);
        assert!(
            calls.iter().map(|call| call.1).eq(0..100),
            "key {key}: {calls:?}"
        );
    }
    let last = calls
        .values()
        .filter_map(|calls| calls.last())
        .map(|call| call.0)
        .max();
    budget.is_used_up(100, last.unwrap().duration_since(begun));
}

#[tokio::test(start_paused = true)]
async fn in_lanes_the_limit_of_a_key_holds_up_no_other_lane() {
    let (source, outcomes) = TestSource::of((0..60).map(|n| (n % 3, n / 3)));
    let (seen, begun) = (Seen::<Numbered>::new(), Instant::now());
    // Only the first key is limited.
    let limit = RateLimit::per_second(10)
        .burst(1)
        .by_key(|m: &Numbered| m.0)
        .weight(|m: &Numbered| u32::from(m.0 == 0));
    let running = Flow::from(source)
        .process(
            Processor::new("call", seen.handler(at_once))
                .rate_limit(limit)
                .by_key(4, |m: &Numbered| m.0),
        )
        .acknowledge()
        .start()
        .await
        .unwrap();
    outcomes.wait_for(41).await;
    assert_eq!(
        begun.elapsed(),
        Duration::ZERO,
        "what is free waits for nothing"
    );
    check(&running.join().await.unwrap());
    for (key, calls) in by_key(&seen) {
        assert!(
            calls.iter().map(|call| call.1).eq(0..20),
            "key {key}: {calls:?}"
        );
    }
    let took = begun.elapsed();
    assert!((ms(1900)..ms(1925)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_that_weigh_their_bytes_keep_a_budget_of_bytes() {
    let sizes = |n: usize| 1 + n * 7919 % 900;
    let (source, outcomes) = TestSource::of((0..400).map(move |n| vec![0_u8; sizes(n)]));
    let (seen, begun) = (Seen::<Vec<u8>>::new(), Instant::now());
    let limit = RateLimit::per_second(10_000)
        .burst(1_000)
        .weight(|bytes: &Vec<u8>| u32::try_from(bytes.len()).unwrap());
    let report = Flow::from(source)
        .process(
            Processor::new("upload", seen.handler(at_once))
                .rate_limit(limit)
                .unordered(4)
                .workers(2),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 400);
    let calls = seen.all();
    let weighed: Vec<_> = calls
        .iter()
        .map(|(at, bytes)| (*at, bytes.len() as u64))
        .collect();
    let budget = Budget::per_second(10_000, 1_000);
    budget.holds_for_weights(&weighed);
    let total = weighed.iter().map(|call| call.1).sum();
    budget.is_used_up(total, calls.last().unwrap().0.duration_since(begun));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_weighs_more_than_the_burst_is_rejected_at_once_and_wedges_nothing() {
    let (source, outcomes) = TestSource::of([5_u32, 11, 6, 0, 10]);
    let (seen, begun) = (Seen::<u32>::new(), Instant::now());
    let limit = RateLimit::per_second(10).burst(10).weight(|n: &u32| *n);
    let report = Flow::from(source)
        .process(
            Processor::new("call", seen.handler(at_once))
                .rate_limit(limit)
                .unordered(1),
        )
        .acknowledge()
        .run()
        .await
        .unwrap();
    check(&report);
    let Outcome::Reject(cause) = outcomes.only(1) else {
        panic!("not rejected: {}", outcomes.only(1));
    };
    let too_heavy = RateLimited::TooHeavy {
        weight: 11,
        burst: 10,
    };
    assert_eq!(find::<RateLimited>(cause.error()), Some(&too_heavy));
    assert_eq!(outcomes.count("done"), 4);
    // 21 in all, 10 of them at once; nothing was spent on the one that was too heavy.
    let took = begun.elapsed();
    assert!((ms(1100)..ms(1105)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_keys_are_kept_than_they_may_be_and_every_key_gets_its_turn() {
    let most = Arc::new(AtomicUsize::new(0));
    let (source, outcomes) = TestSource::of((0..500_u64).map(|n| (n, 0)));
    let limit = RateLimit::per_second(10)
        .burst(1)
        .by_key(|m: &Numbered| m.0)
        .max_keys(20);
    let (begun, most_keys) = (Instant::now(), most.clone());
    let handler = move |message: Numbered| {
        let most = most_keys.clone();
        async move {
            let pipeline = towpath::find("bounded keys").expect("it runs");
            most.fetch_max(of_the_limit(&pipeline, "call").1, SeqCst);
            Ok::<_, towpath::BoxError>(message)
        }
    };
    let report = Flow::from(source)
        .process(
            Processor::new("call", handler)
                .rate_limit(limit)
                .unordered(4)
                .workers(1),
        )
        .acknowledge()
        .named("bounded keys")
        .run()
        .await
        .unwrap();
    check(&report);
    assert_eq!(outcomes.count("done"), 500);
    assert_eq!(most.load(SeqCst), 20);
    // A key is forgotten once its budget is whole again: twenty every 100 ms, and a look at
    // whether one is forgotten may come a little late.
    let took = begun.elapsed();
    assert!((ms(2_400)..ms(2_800)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_messages_wait_for_their_keys_than_may_be_parked_and_demand_stops_there() {
    let (source, outcomes) = TestSource::new((0..1000).map(|n| (0, n))).build();
    let seen = Seen::<Numbered>::new();
    let limit = RateLimit::per_second(100)
        .burst(1)
        .by_key(|m: &Numbered| m.0);
    let pipeline = Flow::from(source)
        .process(
            Processor::new("call", seen.handler(at_once))
                .rate_limit(limit)
                .unordered(2)
                .workers(1)
                .max_parked(NonZeroUsize::new(8).unwrap()),
        )
        .acknowledge()
        .max_demand(1);
    let bound = pipeline.explain().bound();
    let running = pipeline.start().await.unwrap();
    let handle = running.handle().clone();
    let mut most = 0;
    for n in 1..500 {
        outcomes.wait_for(n).await;
        most = most.max(of_the_limit(&handle, "call").0);
        assert!(handle.status().counts.in_flight <= bound);
    }
    assert!((8..=10).contains(&most), "{most} waited");
    assert!(bound < 64, "{bound}");
    check(&running.join().await.unwrap());
    assert!(seen.items().iter().map(|m| m.1).eq(0..1000));
}
