//! The limiter against a bucket of whole numbers, under random schedules.

use std::time::Duration;

use proptest::prelude::*;

use super::{Bench, NANOS_PER_SECOND};
use crate::rate::{options::RateLimit, rate_value::Rate};

/// A bucket at so many per second: what is owed is in tokens times 1000000000.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// What is owed exactly: admitting more would break the promise.
    exact: u128,
    /// What is owed at most, with all that the limiter rounds to the safe side.
    rounded: u128,
    at: u64,
    held_until: u64,
}

const TOKEN: u128 = NANOS_PER_SECOND as u128;
/// The unit in which the limiter counts, rounded up.
const UNIT: u128 = TOKEN / (1 << 22) + 1;

/// What the model says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admits,
    Denies,
    /// So close that rounding decides.
    Either,
}

impl Model {
    pub(super) fn starting(at: u64) -> Self {
        Self {
            at,
            ..Self::default()
        }
    }

    pub(super) fn advance(&mut self, now: u64, rate: u32) {
        let earned = u128::from(now - self.at) * u128::from(rate);
        self.exact = self.exact.saturating_sub(earned);
        self.rounded = self.rounded.saturating_sub(earned);
        self.at = now;
    }

    pub(super) fn judge(&self, weight: u32, burst: u32) -> Verdict {
        let Some(room) = burst.checked_sub(weight) else {
            return Verdict::Denies;
        };
        let room = u128::from(room) * TOKEN;
        if self.held_until > self.at {
            Verdict::Denies
        } else if weight == 0 || self.rounded <= room {
            Verdict::Admits
        } else if self.exact > room {
            Verdict::Denies
        } else {
            Verdict::Either
        }
    }

    pub(super) fn take(&mut self, weight: u32) {
        self.exact += u128::from(weight) * TOKEN;
        self.rounded += u128::from(weight) * (TOKEN + UNIT) + UNIT;
    }

    pub(super) fn hold(&mut self, until: u64) {
        self.held_until = self.held_until.max(until);
    }

    /// The clock of the limiter is rounded when the rate changes.
    pub(super) fn turn(&mut self) {
        self.rounded += UNIT;
    }

    /// Whether nothing is owed, whatever the limiter rounds.
    pub(super) fn is_surely_fresh(&self) -> bool {
        self.rounded == 0 && self.held_until <= self.at
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Take(u32),
    TakeAndGiveBack(u32),
    SetRate(u32),
    Hold(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..500_000_000).prop_map(Step::Pass),
        8 => (0_u32..6).prop_map(Step::Take),
        2 => (0_u32..6).prop_map(Step::TakeAndGiveBack),
        1 => (1_u32..10_000).prop_map(Step::SetRate),
        1 => (0_u64..300_000_000).prop_map(Step::Hold),
    ]
}

/// A limiter and its model, which agree after every step.
struct Pair {
    bench: Bench,
    model: Model,
    rate: u32,
    burst: u32,
}

impl Pair {
    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Pass(time) => {
                let now = self.bench.now + time;
                self.bench.at(now);
                self.model.advance(now, self.rate);
            }
            Step::Take(weight) => self.take(weight)?,
            Step::TakeAndGiveBack(weight) => {
                if let Ok(taken) = self.bench.take(weight) {
                    self.bench.give_back(taken);
                }
            }
            Step::SetRate(rate) => {
                self.bench.set_rate(Rate::per_second(rate)).unwrap();
                self.model.turn();
                self.rate = rate;
            }
            Step::Hold(time) => {
                let until = self.bench.instant() + Duration::from_nanos(time);
                self.bench.limiter.hold(&self.bench.bucket(), until);
                self.model.hold(self.bench.now + time);
            }
        }
        Ok(())
    }

    fn take(&mut self, weight: u32) -> Result<(), TestCaseError> {
        let said = self.model.judge(weight, self.burst);
        let took = self.bench.admits(weight);
        prop_assert!(
            said != Verdict::Denies || !took,
            "too early: {:?}",
            self.model
        );
        prop_assert!(
            said != Verdict::Admits || took,
            "too late: {:?}",
            self.model
        );
        if took {
            self.model.take(weight);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_limiter_does_what_a_simple_bucket_does(
        rate in 1_u32..1000,
        burst in 1_u32..20,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let bench = Bench::of(&RateLimit::per_second(rate).burst(burst));
        let mut pair = Pair { bench, model: Model::default(), rate, burst };
        for step in steps {
            pair.step(&step)?;
        }
    }
}
