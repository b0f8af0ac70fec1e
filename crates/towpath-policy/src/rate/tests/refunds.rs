//! What is given back, and that nobody gets more by it.

use proptest::prelude::*;

use super::{Admitted, Bench, MILLI, NANOS_PER_SECOND, Waiter, assert_exact};
use crate::rate::{bucket::Taken, options::RateLimit, rate_value::Rate};

#[test]
fn what_is_given_back_at_once_is_there_again() {
    for options in [
        RateLimit::per_second(10).burst(3),
        RateLimit::per_second(3).sliding_window(),
    ] {
        let bench = Bench::of(&options);
        let taken = bench.take(2).unwrap();
        assert!(bench.admits(1));
        assert!(!bench.admits(1));
        bench.give_back(taken);
        assert!(bench.admits(2));
        assert!(!bench.admits(1), "{options}");
    }
}

#[test]
fn a_leaky_bucket_lets_the_next_one_have_a_place_that_is_given_back() {
    let bench = Bench::of(&RateLimit::per_second(10).leaky_bucket());
    let taken = bench.take(1).unwrap();
    bench.give_back(taken);
    assert!(bench.admits(1));
}

#[test]
fn cancelled_calls_leave_the_whole_rate_to_others() {
    let mut bench = Bench::of(&RateLimit::per_second(100).burst(20));
    let mut admitted = bench.drain();
    for milli in 1..=1000 {
        bench.at(milli * MILLI);
        while let Ok(cancelled) = bench.take(1) {
            bench.give_back(cancelled);
            admitted += u64::from(bench.admits(1));
        }
    }
    assert!((119..=120).contains(&admitted), "{admitted}");
}

#[test]
fn a_place_that_nobody_took_in_its_time_is_gone() {
    let mut bench = Bench::of(&RateLimit::per_second(1).burst(1));
    let unused = bench.take(1).unwrap();
    let later = bench.later(1);
    assert!(bench.at(later).admits(1));
    bench.give_back(unused);
    assert!(!bench.admits(1), "two at once with a burst of one");
}

#[test]
fn what_was_given_back_before_counts_against_what_came_after() {
    let mut bench = Bench::of(&RateLimit::per_second(1).burst(4));
    let (first, second) = (bench.take(2).unwrap(), bench.take(2).unwrap());
    bench.give_back(first);
    bench.at(NANOS_PER_SECOND + MILLI);
    assert_eq!(bench.drain(), 3);
    bench.give_back(second);
    assert_eq!(
        bench.drain(),
        1,
        "more than four at once with a burst of four"
    );
}

#[test]
fn all_that_is_taken_may_be_given_back_in_any_order() {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        for options in [
            RateLimit::per_second(1).burst(8),
            RateLimit::per_second(8).sliding_window(),
        ] {
            let bench = Bench::of(&options);
            let taken = [2, 1, 4, 1].map(|weight| bench.take(weight).unwrap());
            assert_eq!(bench.drain(), 0);
            for which in order {
                bench.give_back(taken[which]);
            }
            assert_eq!(bench.drain(), 8, "{options}, {order:?}");
        }
    }
}

#[test]
fn thousands_that_are_cancelled_from_the_last_to_the_first_are_given_back() {
    let bench = Bench::of(&RateLimit::per_second(1000).burst(5000));
    let taken: Vec<_> = (0..5000).map(|_| bench.take(1).unwrap()).collect();
    taken
        .into_iter()
        .rev()
        .for_each(|taken| bench.give_back(taken));
    let left = bench.drain();
    assert!(left >= 2500, "{left}");
}

#[test]
fn giving_back_wakes_the_first_of_the_line() {
    let bench = Bench::of(&RateLimit::per_second(1).burst(1));
    let mut waiter = Waiter::default();
    let bucket = bench.bucket();
    let taken = bench.take(1).unwrap();
    assert!(waiter.join(&bucket));
    bench.give_back(taken);
    assert!(waiter.is_woken());
    waiter.leave(&bucket);
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Take(u32),
    GiveBack(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_u64..400_000_000).prop_map(Step::Pass),
        6 => (1_u32..4).prop_map(Step::Take),
        3 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
    ]
}

/// Runs a schedule; what is left are the calls that were made.
fn run(bench: &mut Bench, steps: &[Step]) -> Vec<Admitted> {
    let mut taken: Vec<(Admitted, Taken)> = Vec::new();
    for step in steps {
        let at = bench.now;
        match step {
            Step::Pass(time) => {
                bench.at(at + time);
            }
            Step::Take(weight) => {
                let admitted = Admitted {
                    at,
                    weight: *weight,
                };
                taken.extend(bench.take(*weight).ok().map(|taken| (admitted, taken)));
            }
            Step::GiveBack(_) if taken.is_empty() => {}
            Step::GiveBack(which) => {
                let (_, given) = taken.remove(which.index(taken.len()));
                bench.give_back(given);
            }
        }
    }
    taken.into_iter().map(|(admitted, _)| admitted).collect()
}

proptest! {
    #[test]
    fn giving_back_never_lets_more_through_than_there_is(
        count in 1_u32..50,
        burst in 1_u32..8,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut bench = Bench::of(&RateLimit::per_second(count).burst(burst));
        let made = run(&mut bench, &steps);
        assert_exact(&made, Rate::per_second(count), burst);
    }

    #[test]
    fn giving_back_never_fills_a_window_beyond_its_count(
        count in 1_u32..50,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut bench = Bench::of(&RateLimit::per_second(count).sliding_window());
        let made = run(&mut bench, &steps);
        super::sliding::assert_within_windows(&made, count, NANOS_PER_SECOND);
    }
}
