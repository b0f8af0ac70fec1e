//! Over any interval no more is admitted than the burst and what came in.

use std::{thread, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Admitted, Bench, NANOS_PER_SECOND, assert_exact};
use crate::rate::{bucket::Denied, limiter::Limiter, options::RateLimit, rate_value::Rate};

#[test]
fn a_full_bucket_admits_its_burst_and_then_at_the_rate() {
    let mut bench = Bench::of(&RateLimit::per_second(10).burst(5));
    assert_eq!(bench.drain(), 5);
    let later = bench.later(1);
    assert!((100_000_000..100_000_010).contains(&later), "{later}");
    assert!(!bench.at(100_000_000 - 1).admits(1));
    assert!(bench.at(later).admits(1));
    assert!(!bench.admits(1));
}

#[test]
fn an_idle_bucket_holds_no_more_than_its_burst() {
    let mut bench = Bench::of(&RateLimit::per_second(1000).burst(7));
    bench.drain();
    assert_eq!(bench.at(3_600 * NANOS_PER_SECOND).drain(), 7);
}

#[test]
fn unless_set_the_burst_is_one_and_a_tenth_of_a_second() {
    for (count, burst) in [(1, 1), (4, 1), (5, 2), (10, 2), (100, 11), (500, 51)] {
        let bench = Bench::of(&RateLimit::per_second(count));
        assert_eq!(bench.drain(), burst, "at {count}/s");
    }
}

#[test]
fn what_weighs_more_than_the_burst_is_never_admitted() {
    let bench = Bench::of(&RateLimit::per_second(1000).burst(8));
    assert_eq!(bench.take(9).unwrap_err(), Denied::TooHeavy { burst: 8 });
    assert!(bench.admits(8));
}

#[test]
fn what_weighs_nothing_is_free() {
    let bench = Bench::of(&RateLimit::per_second(1).burst(1));
    bench.drain();
    assert!(bench.admits(0));
    let leaky = Bench::of(&RateLimit::per_second(1).leaky_bucket());
    leaky.drain();
    assert!(leaky.admits(0));
}

#[test]
fn what_is_denied_consumes_nothing() {
    let mut bench = Bench::of(&RateLimit::per_second(10).burst(1));
    assert!(bench.admits(1));
    let later = bench.later(1);
    for now in 1..1000 {
        assert!(bench.at(now).later(1).abs_diff(later) < 10);
    }
    assert!(bench.at(later + 10).admits(1));
}

#[test]
fn a_leaky_bucket_spaces_calls_by_what_they_weigh() {
    let mut bench = Bench::of(&RateLimit::per_second(10).leaky_bucket());
    assert!(bench.at(NANOS_PER_SECOND).admits(3));
    let later = bench.later(1);
    let expected = NANOS_PER_SECOND + 300_000_000;
    assert!((expected..expected + 100).contains(&later), "{later}");
    assert!(bench.at(later).admits(1));
    assert_eq!(bench.drain(), 0);
    assert_eq!(bench.at(60 * NANOS_PER_SECOND).drain(), 1, "no burst");
    assert_eq!(bench.take(11).unwrap_err(), Denied::TooHeavy { burst: 10 });
}

#[test]
fn two_times_the_limit_never_pass_at_the_edge_of_a_second() {
    let mut bench = Bench::of(&RateLimit::per_second(100).burst(10));
    let before = bench.at(NANOS_PER_SECOND - 1).drain();
    let after = bench.at(NANOS_PER_SECOND + 1).drain();
    assert_eq!(before + after, 10);
}

#[test]
fn clocks_that_are_behind_get_nothing_extra() {
    let mut bench = Bench::of(&RateLimit::per_second(10).burst(2));
    bench.at(NANOS_PER_SECOND).drain();
    assert_eq!(bench.at(0).drain(), 0);
    assert_eq!(bench.at(NANOS_PER_SECOND).drain(), 0);
    assert_eq!(bench.at(2 * NANOS_PER_SECOND).drain(), 2);
}

#[test]
fn threads_that_take_at_once_never_get_more_than_there_is() {
    let rate = Rate::per_second(20_000);
    let start = Instant::now();
    let limiter = Limiter::new(&RateLimit::new(rate).burst(50), start);
    let take = || {
        let mut admitted = Vec::new();
        loop {
            let now = Instant::now();
            let at = (now - start).as_nanos().try_into().unwrap();
            if at > 100_000_000 {
                return admitted;
            }
            if limiter.take(limiter.global(), 1, now).is_ok() {
                admitted.push(Admitted { at, weight: 1 });
            }
        }
    };
    let mut all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        let admitted = threads.into_iter().map(|thread| thread.join().unwrap());
        admitted.flatten().collect()
    });
    all.sort_by_key(|admitted| admitted.at);
    assert_exact(&all, rate, 50);
    assert!(all.len() > 50, "{} of some 2050", all.len());
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let period = prop_oneof![
        Just(Duration::from_secs(1)),
        Just(Duration::from_secs(60)),
        Just(Duration::from_secs(3600)),
        (1_000_000_u64..10_000_000_000).prop_map(Duration::from_nanos),
    ];
    (1_u32..2_000_000, period).prop_map(|(count, period)| Rate::new(count, period))
}

proptest! {
    #[test]
    fn no_interval_has_more_than_the_burst_and_what_came_in(
        rate in any_rate(),
        burst in 1_u32..40,
        leaky: bool,
        steps in prop::collection::vec((0_u32..3000, 1_u32..6, any::<bool>()), 1..200),
    ) {
        let options = RateLimit::new(rate);
        let options = if leaky { options.leaky_bucket() } else { options.burst(burst) };
        let mut bench = Bench::of(&options);
        let interval = u64::try_from(rate.period().as_nanos()).unwrap() / u64::from(rate.count());
        let mut admitted = Vec::new();
        for (step, weight, waits) in steps {
            let mut now = bench.now + interval * u64::from(step) / 1000;
            if waits && let Err(Denied::Until(until)) = bench.at(now).peek(weight) {
                now = bench.nanos(until);
                prop_assert_eq!(bench.at(now).peek(weight), Ok(()), "at the time that was told");
            }
            if bench.at(now).admits(weight) {
                admitted.push(Admitted { at: now, weight });
            }
        }
        let heaviest = admitted.iter().map(|admitted| admitted.weight).max().unwrap_or(0);
        assert_exact(&admitted, rate, if leaky { heaviest } else { burst });
    }
}
