//! The budget is used, although timers are late and tick in milliseconds.

use std::time::Duration;

use super::{Admitted, Bench, MILLI, NANOS_PER_SECOND, assert_exact};
use crate::rate::{bucket::Denied, options::RateLimit, rate_value::Rate};

/// Always has work and waits as long as it is told, on a timer that ticks in milliseconds
/// and is late by up to one more.
fn work(bench: &mut Bench, seconds: u64) -> Vec<Admitted> {
    let mut random = fastrand::Rng::with_seed(seconds);
    let mut admitted = Vec::new();
    while bench.now < seconds * NANOS_PER_SECOND {
        match bench.take(1) {
            Ok(_) => admitted.push(Admitted {
                at: bench.now,
                weight: 1,
            }),
            Err(Denied::Until(until)) => {
                let tick = bench.nanos(until).div_ceil(MILLI) * MILLI;
                bench.at(tick + random.u64(..MILLI));
            }
            Err(denied) => panic!("{denied:?}"),
        }
    }
    admitted
}

/// Checks that at least 99.5 % of the burst and what came in was used.
fn assert_used(admitted: &[Admitted], rate: Rate, burst: u32, seconds: u64) {
    let period = rate.period().as_nanos();
    let time = u128::from(seconds * NANOS_PER_SECOND);
    let most = u128::from(burst) * period + u128::from(rate.count()) * time;
    // One call may be about to start.
    let used = u128::try_from(admitted.len() + 1).unwrap() * period;
    assert!(
        used * 1000 >= most * 995,
        "{} in {seconds} s at {rate}",
        admitted.len()
    );
}

#[test]
fn a_token_bucket_uses_its_budget_at_any_rate() {
    for count in [1, 2, 3, 4, 5, 7, 10, 33, 99, 500] {
        let rate = Rate::per_second(count);
        let mut bench = Bench::of(&RateLimit::new(rate));
        let admitted = work(&mut bench, 60);
        assert_used(
            &admitted,
            rate,
            rate.in_time(Duration::from_millis(100)) + 1,
            60,
        );
    }
}

#[test]
fn a_token_bucket_uses_a_budget_of_many_and_keeps_it_exactly() {
    for count in [777, 2_000] {
        let rate = Rate::per_second(count);
        let mut bench = Bench::of(&RateLimit::new(rate).burst(20));
        let admitted = work(&mut bench, 2);
        assert_used(&admitted, rate, 20, 2);
        assert_exact(&admitted, rate, 20);
    }
    let rate = Rate::per_second(300_000);
    let mut bench = Bench::of(&RateLimit::new(rate));
    let admitted = work(&mut bench, 2);
    assert_used(&admitted, rate, 30_001, 2);
    assert!(admitted.len() <= 300_000 * 2 + 30_001 + 600);
}

#[test]
fn a_budget_per_minute_is_used() {
    let rate = Rate::new(30_000, Duration::from_secs(60));
    let mut bench = Bench::of(&RateLimit::new(rate));
    let admitted = work(&mut bench, 60);
    assert_used(&admitted, rate, 51, 60);
}

#[test]
fn a_sliding_window_uses_its_budget() {
    for (count, seconds) in [(10, 60), (500, 20), (5_000, 20)] {
        let rate = Rate::per_second(count);
        let mut bench = Bench::of(&RateLimit::new(rate).sliding_window());
        let admitted = work(&mut bench, seconds);
        assert_used(&admitted, rate, 0, seconds);
        super::sliding::assert_within_windows(&admitted, count, NANOS_PER_SECOND);
    }
}

#[test]
fn a_leaky_bucket_that_is_asked_in_time_uses_its_budget() {
    let rate = Rate::per_second(500);
    let mut bench = Bench::of(&RateLimit::new(rate).leaky_bucket());
    let mut admitted = Vec::new();
    while bench.now < 10 * NANOS_PER_SECOND {
        if bench.admits(1) {
            admitted.push(Admitted {
                at: bench.now,
                weight: 1,
            });
        }
        let next = bench.later(1);
        bench.at(next);
    }
    assert_used(&admitted, rate, 1, 10);
    assert_exact(&admitted, rate, 1);
}
