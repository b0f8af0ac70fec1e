//! Changes while it runs: another rate, and a break that the service asks for.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::{Bench, MILLI, NANOS_PER_SECOND, Waiter};
use crate::rate::{
    options::RateLimit,
    pace::{LivePace, Pace},
    rate_value::{InvalidRate, Rate},
};

#[test]
fn a_new_rate_is_effective_at_once() {
    let mut bench = Bench::of(&RateLimit::per_second(1).burst(1));
    bench.drain();
    let later = bench.later(1);
    assert!(later >= NANOS_PER_SECOND);
    bench
        .at(500 * MILLI)
        .set_rate(Rate::per_second(1000))
        .unwrap();
    let later = bench.later(1);
    let expected = 500 * MILLI + MILLI / 2;
    assert!((expected..expected + 100).contains(&later), "{later}");
}

#[test]
fn a_slower_rate_does_not_let_a_flood_through() {
    let mut bench = Bench::of(&RateLimit::per_second(1000).burst(100));
    assert_eq!(bench.drain(), 100);
    bench.set_rate(Rate::per_second(1)).unwrap();
    assert_eq!(bench.drain(), 0);
    assert_eq!(bench.at(10 * NANOS_PER_SECOND + MILLI).drain(), 10);
}

#[test]
fn a_rate_that_goes_back_and_forth_admits_what_both_allow() {
    let mut bench = Bench::of(&RateLimit::per_second(1000).burst(10));
    let mut admitted = bench.drain();
    for second in 1..=10 {
        let rate = if second % 2 == 1 { 10 } else { 1000 };
        bench.set_rate(Rate::per_second(rate)).unwrap();
        for milli in 0..1000 {
            admitted += bench
                .at((second - 1) * NANOS_PER_SECOND + milli * MILLI)
                .drain();
        }
    }
    assert!((5045..=5060).contains(&admitted), "{admitted}");
}

#[test]
fn a_burst_that_is_not_set_goes_with_the_rate() {
    let mut bench = Bench::of(&RateLimit::per_second(10));
    assert_eq!(bench.drain(), 2);
    bench.set_rate(Rate::per_second(1000)).unwrap();
    assert_eq!(bench.at(NANOS_PER_SECOND).drain(), 101);
    bench.set_rate(Rate::per_second(10)).unwrap();
    assert_eq!(bench.at(9 * NANOS_PER_SECOND).drain(), 0);
    assert_eq!(bench.at(60 * NANOS_PER_SECOND).drain(), 2);
}

#[test]
fn a_rate_that_makes_no_sense_leaves_the_old_one() {
    let bench = Bench::of(&RateLimit::per_second(10).burst(1));
    assert_eq!(bench.set_rate(Rate::per_second(0)), Err(InvalidRate::Zero));
    assert_eq!(bench.limiter.rate(), Rate::per_second(10));
}

#[test]
fn a_new_rate_wakes_who_reckons_with_the_old_one() {
    let options = RateLimit::per_second(1).burst(1).by_key(|key: &u64| *key);
    let bench = Bench::of(&options);
    for bucket in [bench.bucket(), bench.key(1).unwrap()] {
        let mut waiter = Waiter::default();
        assert!(waiter.join(&bucket));
        bench.set_rate(Rate::per_second(100)).unwrap();
        assert!(waiter.is_woken());
        waiter.leave(&bucket);
    }
}

#[test]
fn a_bucket_that_is_held_admits_nobody_before() {
    for options in [
        RateLimit::per_second(100).burst(5),
        RateLimit::per_second(100).sliding_window(),
        RateLimit::per_second(100).leaky_bucket(),
    ] {
        let mut bench = Bench::of(&options);
        let until = bench.instant() + Duration::from_secs(30);
        bench.limiter.hold(&bench.bucket(), until);
        let sooner = bench.instant() + Duration::from_secs(1);
        bench.limiter.hold(&bench.bucket(), sooner);
        assert_eq!(bench.later(1), 30 * NANOS_PER_SECOND);
        assert!(!bench.at(30 * NANOS_PER_SECOND - 1).admits(1));
        assert!(bench.at(30 * NANOS_PER_SECOND).admits(1), "{options}");
    }
}

#[test]
fn a_hold_of_one_key_leaves_the_others_alone() {
    let bench = Bench::of(&RateLimit::per_second(10).by_key(|key: &u64| *key));
    let (held, free) = (bench.key(1).unwrap(), bench.key(2).unwrap());
    bench
        .limiter
        .hold(&held, bench.instant() + Duration::from_secs(9));
    assert!(bench.limiter.take(&held, 1, bench.instant()).is_err());
    assert!(bench.limiter.take(&free, 1, bench.instant()).is_ok());
}

#[test]
fn a_pace_is_never_read_half_old_and_half_new() {
    let paces = [1, 1000].map(|count| Pace::starting(Rate::per_second(count), count));
    let live = LivePace::new(paces[0]);
    let done = AtomicBool::new(false);
    let seconds = |pace: Pace| pace.earned(1 << 40) / pace.cost(pace.most());
    let expected = seconds(paces[0]);
    thread::scope(|scope| {
        let reads = scope.spawn(|| {
            let mut reads = 0_u64;
            while !done.load(Ordering::Relaxed) || reads == 0 {
                assert!(seconds(live.load()).abs_diff(expected) <= 1);
                reads += 1;
            }
            reads
        });
        for turn in 0..200_000 {
            live.store(paces[turn % 2]);
        }
        done.store(true, Ordering::Relaxed);
        assert!(reads.join().unwrap() > 0);
    });
}

proptest! {
    #[test]
    fn changes_of_the_rate_never_admit_more_than_the_rates_allowed(
        burst in 1_u32..10,
        steps in prop::collection::vec((1_u32..500, 0_u64..200_000_000), 1..60),
    ) {
        let mut bench = Bench::of(&RateLimit::per_second(1).burst(burst));
        // Earned since the start, in tokens times the nanoseconds of a second; at each take.
        let (mut earned, mut takes) = (0_u128, Vec::new());
        for (rate, time) in steps {
            bench.set_rate(Rate::per_second(rate)).unwrap();
            let now = bench.now + time;
            bench.at(now);
            earned += u128::from(rate) * u128::from(time);
            let admitted = bench.drain();
            takes.extend(std::iter::repeat_n(earned, usize::try_from(admitted).unwrap()));
        }
        let token = u128::from(NANOS_PER_SECOND);
        for (index, first) in takes.iter().enumerate() {
            for (count, last) in (1_u128..).zip(&takes[index..]) {
                prop_assert!(count * token <= u128::from(burst) * token + last - first);
            }
        }
    }
}
