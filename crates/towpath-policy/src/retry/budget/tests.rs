//! Tests of the retry budget.

use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{Budget, RETRY, Terms};

const SECOND: Duration = Duration::from_secs(1);

fn budget(ratio: f64, at_least: u32, now: Instant) -> Budget {
    Budget::new(Terms { ratio, at_least }, now)
}

fn call(budget: &Budget, times: usize) {
    for _ in 0..times {
        budget.deposit();
    }
}

/// Takes out everything there is.
fn drain(budget: &Budget, now: Instant) -> u64 {
    let mut retries = 0;
    while budget.withdraw(now) {
        retries += 1;
    }
    retries
}

#[test]
fn a_storm_of_failures_makes_no_more_attempts_than_the_budget_pays_for() {
    // Reliability: 1000 in flight, all fail: attempts <= (1 + ratio) * requests + min/s.
    let now = Instant::now();
    let budget = budget(0.2, 10, now);
    call(&budget, 1000);
    let retries = (0..1000 * 4).filter(|_| budget.withdraw(now)).count();
    assert_eq!(1000 + retries, 1200 + 10);
}

#[test]
fn a_lasting_storm_stays_within_the_budget_at_every_moment() {
    let start = Instant::now();
    let budget = budget(0.2, 10, start);
    let mut retries = 0;
    for millis in 0..60_000_u64 {
        let now = start + Duration::from_millis(millis);
        call(&budget, 1);
        retries += drain(&budget, now);
        let calls = millis + 1;
        // In thousandths, so that nothing is rounded.
        assert!(retries * 1000 <= calls * 200 + 10 * (millis + 1000));
    }
    // 60 000 calls pay for 12 000 retries, 60 seconds for 600.
    assert!(retries >= 12_600, "{retries}");
}

#[test]
fn a_quiet_service_may_retry_at_once_and_a_little_every_second() {
    let start = Instant::now();
    let budget = budget(0.2, 10, start);
    assert_eq!(drain(&budget, start), 10);
    assert_eq!(drain(&budget, start + SECOND / 20), 0);
    assert_eq!(drain(&budget, start + SECOND / 10), 1);
    assert_eq!(drain(&budget, start + SECOND), 9);
    assert_eq!(drain(&budget, start + SECOND * 3600), 10);
}

#[test]
fn income_is_not_lost_to_rounding_when_the_budget_is_asked_all_the_time() {
    let start = Instant::now();
    let budget = budget(0.0, 3, start);
    assert_eq!(drain(&budget, start), 3);
    let micros = (0..=2_000_000_u64).step_by(37);
    let retries: u64 = micros
        .map(|micros| drain(&budget, start + Duration::from_micros(micros)))
        .sum();
    assert_eq!(
        retries, 5,
        "the sixth comes at 2 s and not a microsecond earlier"
    );
    assert_eq!(drain(&budget, start + SECOND * 2), 1);
}

#[test]
fn calls_pay_for_ten_seconds() {
    let start = Instant::now();
    let budget = budget(0.2, 0, start);
    call(&budget, 100);
    assert_eq!(budget.left(start), 20);
    let almost = start + SECOND * 10 - Duration::from_nanos(1);
    assert_eq!(budget.left(almost), 20);
    assert_eq!(budget.left(start + SECOND * 10), 0);
}

#[test]
fn calls_of_a_long_time_without_failures_count_for_the_last_ten_seconds_of_it() {
    let start = Instant::now();
    let budget = budget(0.5, 0, start);
    call(&budget, 3600);
    assert_eq!(budget.left(start + SECOND * 3599), 5);
}

#[test]
fn what_expires_first_is_spent_first() {
    let start = Instant::now();
    let budget = budget(1.0, 0, start);
    call(&budget, 1);
    assert_eq!(budget.left(start), 1);
    call(&budget, 1);
    assert_eq!(budget.left(start + SECOND / 2), 2);
    let later = start + SECOND * 5;
    assert_eq!(budget.left(later), 2);
    call(&budget, 1);
    assert_eq!(budget.left(later), 3);
    assert!(budget.withdraw(later) && budget.withdraw(later));
    assert_eq!(budget.left(start + SECOND * 10), 1);
}

#[test]
fn without_a_ratio_and_without_income_there_is_no_retry() {
    let now = Instant::now();
    let budget = budget(0.0, 0, now);
    call(&budget, 1_000_000);
    assert!(!budget.withdraw(now + SECOND * 1000));
}

#[test]
fn a_generous_budget_never_refuses_the_retries_of_its_attempts() {
    let now = Instant::now();
    let budget = budget(4.0, 0, now);
    for _ in 0..1000 {
        budget.deposit();
        assert!((0..4).all(|_| budget.withdraw(now)));
        assert!(!budget.withdraw(now));
    }
}

#[test]
fn strange_ratios_and_rates_do_not_panic() {
    let now = Instant::now();
    for ratio in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -1.0,
        1e300,
        1e-300,
    ] {
        let budget = budget(ratio, u32::MAX, now);
        call(&budget, 10);
        budget
            .calls
            .store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
        assert!(budget.withdraw(now + Duration::from_secs(1 << 40)));
        assert!(budget.left(now) > 0);
    }
}

#[test]
fn a_thread_with_an_older_clock_changes_nothing() {
    let start = Instant::now();
    let budget = budget(0.5, 1, start + SECOND * 100);
    assert_eq!(drain(&budget, start), 1);
    assert_eq!(drain(&budget, start + SECOND * 101), 1);
    assert_eq!(drain(&budget, start + SECOND * 50), 0);
    assert_eq!(drain(&budget, start + SECOND * 101), 0);
    call(&budget, 4);
    assert_eq!(drain(&budget, start), 2);
}

#[test]
fn threads_never_take_more_than_there_is_nor_leave_any() {
    // In tower two withdrawals may see the same balance (tower#857).
    const THREADS: u64 = 4;
    const CALLS: u64 = 20_000;
    let now = Instant::now();
    let budget = Arc::new(budget(0.3, 7, now));
    let taken: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    (0..CALLS)
                        .map(|_| call_and_retry(&budget, now))
                        .sum::<u64>()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let left = drain(&budget, now);
    assert_eq!(taken + left, THREADS * CALLS * 3 / 10 + 7);
}

/// A call that fails, with one retry if there is budget.
fn call_and_retry(budget: &Budget, now: Instant) -> u64 {
    budget.deposit();
    budget.withdraw(now).into()
}

#[test]
fn threads_that_all_want_the_last_retry_share_one() {
    for _ in 0..200 {
        let now = Instant::now();
        let budget = Arc::new(budget(1.0, 0, now));
        budget.deposit();
        let taken: u32 = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| u32::from(budget.withdraw(now))))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(taken, 1);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Calls(u16),
    Wait(Duration),
    Retry,
    Look,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..40_u16).prop_map(Step::Calls),
        2 => (0..2_500_u64).prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
        1 => (0..30_u64).prop_map(|secs| Step::Wait(SECOND * u32::try_from(secs).unwrap())),
        6 => Just(Step::Retry),
        1 => Just(Step::Look),
    ];
    prop::collection::vec(step, 1..200)
}

/// A budget with no ring, no clamping and no thread: the payments by their second.
struct Model {
    pay: u128,
    income: u128,
    elapsed: Duration,
    new: u128,
    entered: u64,
    paid: BTreeMap<u64, u128>,
    reserve: u128,
    received: Duration,
}

impl Model {
    fn new(ratio_percent: u32, at_least: u32) -> Self {
        let income = u128::from(at_least) * u128::from(RETRY);
        Self {
            pay: u128::from(ratio_percent) * u128::from(RETRY) / 100,
            income,
            elapsed: Duration::ZERO,
            new: 0,
            entered: 0,
            paid: BTreeMap::new(),
            reserve: income,
            received: Duration::ZERO,
        }
    }

    fn balance(&mut self) -> u128 {
        let since = self.elapsed.as_nanos() - self.received.as_nanos();
        let income = since * (self.income / u128::from(RETRY));
        self.reserve = (self.reserve + income).min(self.income);
        self.received = self.elapsed;
        let second = self.elapsed.as_secs();
        let seconds = u128::from(second - self.entered + 1);
        let paid = std::mem::take(&mut self.new) * self.pay;
        *self.paid.entry(self.entered).or_default() += paid % seconds;
        for each in self.entered..=second {
            *self.paid.entry(each).or_default() += paid / seconds;
        }
        self.entered = second;
        self.paid.retain(|paid, _| paid + 10 > second);
        self.reserve + self.paid.values().sum::<u128>()
    }

    fn retry(&mut self) -> bool {
        let mut due = u128::from(RETRY);
        if self.balance() < due {
            return false;
        }
        for purse in std::iter::once(&mut self.reserve).chain(self.paid.values_mut()) {
            let taken = due.min(*purse);
            *purse -= taken;
            due -= taken;
        }
        due == 0
    }
}

proptest! {
    #[test]
    fn the_budget_does_what_the_model_does(
        ratio_percent in 0..300_u32, at_least in 0..20_u32, steps in steps(),
    ) {
        let start = Instant::now();
        let budget = budget(f64::from(ratio_percent) / 100.0, at_least, start);
        let mut model = Model::new(ratio_percent, at_least);
        let (mut calls, mut retries) = (0_u128, 0_u128);
        for step in steps {
            let now = start + model.elapsed;
            match step {
                Step::Wait(time) => model.elapsed += time,
                Step::Calls(count) => {
                    call(&budget, count.into());
                    model.new += u128::from(count);
                    calls += u128::from(count);
                }
                Step::Retry => {
                    let retry = budget.withdraw(now);
                    prop_assert_eq!(retry, model.retry());
                    retries += u128::from(retry);
                }
                Step::Look => {
                    let left = u128::from(budget.left(now));
                    prop_assert_eq!(left, model.balance() / u128::from(RETRY));
                }
            }
            let seconds = (model.elapsed + SECOND).as_nanos();
            let bound = calls * model.pay + seconds * u128::from(at_least);
            prop_assert!(retries * u128::from(RETRY) <= bound);
        }
    }

    #[test]
    fn in_no_interval_are_there_more_retries_than_its_calls_and_those_ten_seconds_before_pay_for(
        steps in prop::collection::vec((0..900_u64, 0..30_usize, 0..60_usize), 1..60),
    ) {
        let start = Instant::now();
        let budget = budget(0.5, 3, start);
        let mut history = Vec::new();
        let mut elapsed = Duration::ZERO;
        for (wait, calls, wanted) in steps {
            elapsed += Duration::from_millis(wait);
            call(&budget, calls);
            let now = start + elapsed;
            budget.left(now);
            let retries = (0..wanted).filter(|_| budget.withdraw(now)).count();
            history.push((elapsed, calls, retries));
        }
        for from in 0..history.len() {
            let since = history[from].0;
            let mut retries = 0;
            for &(now, _, more) in &history[from..] {
                retries += more;
                let paying = history.iter().filter(|(at, ..)| *at + SECOND * 10 > since && *at <= now);
                let calls: usize = paying.map(|(_, calls, _)| calls).sum();
                let time = (now + SECOND).as_millis() - since.as_millis();
                prop_assert!(retries as u128 * 1000 <= calls as u128 * 500 + time * 3);
            }
        }
    }
}
