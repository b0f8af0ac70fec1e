//! The sliding window: at most the count within any period.

use std::time::Duration;

use proptest::prelude::*;

use super::{Admitted, Bench, MILLI, NANOS_PER_SECOND};
use crate::rate::{bucket::Denied, options::RateLimit, rate_value::Rate};

/// Checks every window that starts with a call: others hold no more.
pub(super) fn assert_within_windows(admitted: &[Admitted], count: u32, period: u64) {
    let mut last = 0;
    let mut sum = 0;
    for first in admitted {
        while let Some(next) = admitted
            .get(last)
            .filter(|next| next.at < first.at + period)
        {
            sum += next.weight;
            last += 1;
        }
        assert!(
            sum <= count,
            "{sum} of {count} within the period from {}",
            first.at
        );
        sum -= first.weight;
    }
}

#[test]
fn a_window_admits_its_count_and_more_when_the_oldest_has_left_it() {
    let mut bench = Bench::of(&RateLimit::per_second(3).sliding_window());
    assert!(bench.admits(1));
    assert!(bench.at(100 * MILLI).admits(2));
    assert_eq!(bench.later(1), NANOS_PER_SECOND);
    assert_eq!(bench.later(2), NANOS_PER_SECOND + 100 * MILLI);
    assert!(!bench.at(NANOS_PER_SECOND - 1).admits(1));
    assert!(bench.at(NANOS_PER_SECOND).admits(1));
    assert!(!bench.admits(1));
}

#[test]
fn a_window_has_no_burst_at_its_edge() {
    let mut bench =
        Bench::of(&RateLimit::new(Rate::new(100, Duration::from_secs(60))).sliding_window());
    let minute = 60 * NANOS_PER_SECOND;
    assert_eq!(bench.at(minute - 1).drain(), 100);
    assert_eq!(bench.at(minute + 1).drain(), 0);
    assert_eq!(bench.at(2 * minute - 1).drain(), 100);
}

#[test]
fn a_window_of_many_calls_remembers_a_bounded_number() {
    let options = RateLimit::new(Rate::new(1_000_000, Duration::from_secs(60))).sliding_window();
    let mut bench = Bench::of(&options);
    for step in 0..120_000 {
        bench.at(step * MILLI);
        for _ in 0..10 {
            if !bench.admits(1) {
                break;
            }
        }
    }
    let remembered = bench.bucket().remembered();
    assert!(remembered <= 514, "{remembered}");
}

#[test]
fn what_weighs_more_than_the_count_never_fits_a_window() {
    let bench = Bench::of(&RateLimit::per_second(3).sliding_window());
    assert_eq!(bench.take(4).unwrap_err(), Denied::TooHeavy { burst: 3 });
    assert!(bench.admits(0));
}

#[test]
fn a_window_counts_who_is_behind_as_the_last_to_come() {
    let mut bench = Bench::of(&RateLimit::per_second(2).sliding_window());
    assert!(bench.at(500 * MILLI).admits(1));
    assert!(bench.at(0).admits(1));
    assert!(!bench.at(NANOS_PER_SECOND).admits(1));
    assert_eq!(bench.at(1500 * MILLI).drain(), 2);
}

#[test]
fn a_window_that_shrinks_waits_until_there_is_room_again() {
    let mut bench = Bench::of(&RateLimit::per_second(10).sliding_window());
    assert_eq!(bench.drain(), 10);
    bench.at(500 * MILLI).set_rate(Rate::per_second(4)).unwrap();
    assert_eq!(bench.later(1), NANOS_PER_SECOND);
    assert_eq!(bench.at(NANOS_PER_SECOND).drain(), 4);
}

proptest! {
    #[test]
    fn no_window_holds_more_than_the_count_and_none_is_denied_without_need(
        count in 1_u32..30,
        steps in prop::collection::vec((0_u64..700_000_000, 1_u32..5), 1..200),
    ) {
        let mut bench = Bench::of(&RateLimit::per_second(count).sliding_window());
        let mut admitted: Vec<Admitted> = Vec::new();
        for (time, weight) in steps {
            let at = bench.now + time;
            bench.at(at);
            let counts = |taken: &&Admitted| taken.at + NANOS_PER_SECOND > at;
            let used: u32 = admitted.iter().filter(counts).map(|taken| taken.weight).sum();
            prop_assert_eq!(bench.admits(weight), used + weight <= count);
            if used + weight <= count {
                admitted.push(Admitted { at, weight });
            }
        }
    }

    #[test]
    fn windows_of_many_calls_hold_no_more_than_the_count(
        count in 513_u32..2_000,
        steps in prop::collection::vec((0_u64..20_000_000, 1_u32..200), 1..500),
    ) {
        let mut bench = Bench::of(&RateLimit::per_second(count).sliding_window());
        let mut admitted = Vec::new();
        for (time, weight) in steps {
            let at = bench.now + time;
            if bench.at(at).admits(weight) {
                admitted.push(Admitted { at, weight });
            }
        }
        assert_within_windows(&admitted, count, NANOS_PER_SECOND);
    }
}
