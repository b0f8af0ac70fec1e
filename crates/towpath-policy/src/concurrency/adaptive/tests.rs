//! The rules by which an adaptive limit changes.

use super::*;
use crate::Concurrency;

mod converges;
mod simulation;

const USUAL: Duration = Duration::from_millis(100);

/// A limit with its clock, between 1 and 100.
#[derive(Debug)]
struct Clocked {
    adaptive: Adaptive,
    now: Instant,
    limit: usize,
}

impl Clocked {
    /// After a window in which the limit was not reached: the usual latency is known.
    fn at(limit: usize) -> Self {
        let options = Concurrency::adaptive().between(1, 100).start_at(limit);
        let adaptive = Adaptive::new(options.adaptive_options().expect("it is adaptive"));
        let mut clocked = Self {
            limit: adaptive.initial(),
            adaptive,
            now: Instant::now(),
        };
        clocked.window(USUAL, 1);
        assert_eq!(clocked.limit, limit);
        clocked
    }

    fn ends(&mut self, latency: Duration, overloaded: bool, in_use: usize) {
        let changed = self
            .adaptive
            .observe(self.now, latency, overloaded, in_use, self.limit);
        self.limit = changed.unwrap_or(self.limit);
    }

    /// A window of ten calls, all of them begun long after the one before.
    fn window(&mut self, latency: Duration, in_use: usize) {
        self.now += 3 * USUAL + latency;
        for _ in 0..9 {
            self.ends(latency, false, in_use);
        }
        self.now += 3 * USUAL;
        self.ends(latency, false, in_use);
    }

    fn overloaded(&mut self, latency: Duration) {
        self.ends(latency, true, self.limit);
    }
}

#[test]
fn it_is_raised_by_one_in_a_window_when_it_was_reached() {
    let mut clocked = Clocked::at(10);
    clocked.window(USUAL, 10);
    assert_eq!(clocked.limit, 11);
    clocked.window(USUAL, 11);
    assert_eq!(clocked.limit, 12);
}

#[test]
fn it_is_not_raised_when_it_was_not_reached() {
    let mut clocked = Clocked::at(10);
    for _ in 0..100 {
        clocked.window(USUAL, 9);
    }
    assert_eq!(clocked.limit, 10);
}

#[test]
fn it_is_not_raised_before_the_window_has_ended() {
    let mut clocked = Clocked::at(10);
    clocked.now += USUAL;
    for _ in 0..1000 {
        clocked.ends(USUAL, false, 10);
    }
    assert_eq!(clocked.limit, 10, "all of them at once");
    clocked.now += USUAL;
    clocked.ends(USUAL, false, 10);
    assert_eq!(clocked.limit, 11);
}

#[test]
fn it_is_not_raised_on_the_word_of_a_few_calls() {
    let mut clocked = Clocked::at(10);
    for _ in 0..9 {
        clocked.now += USUAL;
        clocked.ends(USUAL, false, 10);
    }
    assert_eq!(clocked.limit, 10);
}

#[test]
fn it_stays_within_its_bounds() {
    let mut clocked = Clocked::at(99);
    clocked.window(USUAL, 99);
    clocked.window(USUAL, 100);
    assert_eq!(clocked.limit, 100);
    for _ in 0..50 {
        clocked.now += USUAL;
        clocked.overloaded(Duration::ZERO);
    }
    assert_eq!(clocked.limit, 1);
}

#[test]
fn a_limit_outside_of_the_bounds_is_not_raised() {
    let mut clocked = Clocked::at(10);
    for by_hand in [0, 500] {
        clocked.limit = by_hand;
        clocked.window(USUAL, 500);
        assert_eq!(clocked.limit, by_hand);
    }
}

#[test]
fn a_limit_set_below_the_bounds_is_not_raised_by_lowering_it() {
    let mut clocked = Clocked::at(10);
    clocked.limit = 0;
    clocked.overloaded(Duration::ZERO);
    assert_eq!(clocked.limit, 0);
}

#[test]
fn overload_lowers_it_at_once_and_once_for_all_that_was_under_way() {
    let mut clocked = Clocked::at(100);
    clocked.overloaded(USUAL);
    assert_eq!(clocked.limit, 90);
    clocked.now += USUAL / 2;
    clocked.overloaded(USUAL);
    assert_eq!(clocked.limit, 90, "it began before");
    clocked.overloaded(USUAL / 2);
    assert_eq!(clocked.limit, 81, "it began after");
}

#[test]
fn overload_lowers_it_to_less_than_what_ran() {
    let mut clocked = Clocked::at(100);
    clocked.ends(USUAL, true, 60);
    assert_eq!(clocked.limit, 54);
}

#[test]
fn it_is_lowered_by_no_more_than_half_at_once() {
    let mut clocked = Clocked::at(100);
    clocked.ends(USUAL, true, 3);
    assert_eq!(clocked.limit, 50);
}

#[test]
fn latency_within_the_tolerance_does_not_lower_it() {
    let mut clocked = Clocked::at(100);
    clocked.window(USUAL.mul_f64(1.24), 99);
    assert_eq!(clocked.limit, 100);
}

#[test]
fn latency_beyond_the_tolerance_lowers_it_to_less_than_what_is_served_at_once() {
    let mut clocked = Clocked::at(90);
    clocked.window(USUAL.mul_f64(1.5), 90);
    assert_eq!(clocked.limit, 54, "90 / 1.5, and a tenth less");
}

#[test]
fn latency_lowers_it_once_for_all_that_was_under_way() {
    let mut clocked = Clocked::at(90);
    clocked.window(USUAL.mul_f64(1.5), 90);
    for _ in 0..1000 {
        clocked.now += USUAL / 100;
        clocked.ends(20 * USUAL, false, 90);
    }
    assert_eq!(clocked.limit, 54);
}

#[test]
fn latency_does_not_lower_it_when_few_calls_run() {
    let mut clocked = Clocked::at(100);
    clocked.window(2 * USUAL, 49);
    assert_eq!(clocked.limit, 100);
}

#[test]
fn one_call_that_hangs_does_not_lower_it() {
    let mut clocked = Clocked::at(10);
    clocked.now += 100 * USUAL;
    clocked.ends(100 * USUAL, false, 10);
    clocked.window(USUAL, 10);
    assert_eq!(clocked.limit, 11);
}

#[test]
fn one_lucky_window_does_not_pin_what_is_usual() {
    let mut clocked = Clocked::at(10);
    clocked.window(USUAL / 100, 9);
    for limit in 10..20 {
        clocked.window(USUAL, limit);
    }
    assert_eq!(clocked.limit, 20);
}

#[test]
fn latency_that_stays_although_fewer_calls_run_becomes_the_usual_one() {
    let mut clocked = Clocked::at(80);
    clocked.window(3 * USUAL, 80);
    assert_eq!(clocked.limit, 40);
    clocked.window(3 * USUAL, 40);
    assert_eq!(clocked.limit, 20);
    clocked.window(3 * USUAL, 20);
    assert_eq!(clocked.limit, 21, "the limit was not the reason");
}

#[test]
fn a_queue_that_is_thought_to_be_usual_is_found_out() {
    let mut clocked = Clocked::at(60);
    let queue = |calls: u32| USUAL * calls / 20;
    for _ in 0..50 {
        clocked.window(queue(60), 20);
    }
    clocked.limit = 90;
    clocked.window(queue(90), 90);
    assert_eq!(clocked.limit, 53, "slower than that queue");
    clocked.window(queue(53), 53);
    assert_eq!(
        clocked.limit, 47,
        "faster, but only as there are fewer calls"
    );
}

#[test]
fn latency_that_the_limit_causes_does_not_become_the_usual_one() {
    let mut clocked = Clocked::at(20);
    for _ in 0..500 {
        let queue = (f64::from(u32::try_from(clocked.limit).unwrap()) / 20.0).max(1.0);
        clocked.window(USUAL.mul_f64(queue), clocked.limit);
        assert!(clocked.limit <= 27, "{clocked:?}");
    }
}

#[test]
fn a_call_that_finds_the_lock_taken_does_not_wait() {
    let clocked = Clocked::at(10);
    let _taken = clocked.adaptive.state.lock();
    let changed = clocked
        .adaptive
        .observe(clocked.now + USUAL, USUAL, false, 10, 10);
    assert_eq!(changed, None);
}

#[test]
fn a_service_that_takes_no_time_at_all_is_no_problem() {
    let mut clocked = Clocked::at(10);
    for _ in 0..200 {
        clocked.window(Duration::ZERO, 10);
    }
    clocked.window(USUAL, clocked.limit);
    assert!((1..=100).contains(&clocked.limit));
}
