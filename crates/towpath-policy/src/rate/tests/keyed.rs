//! Budgets of keys: bounded in number, and never given anew by forgetting.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    Bench, MILLI, NANOS_PER_SECOND, Waiter,
    model::{Model, Verdict},
};
use crate::{
    Key,
    rate::{
        charge::Charge,
        options::{Algorithm, RateLimit},
        rate_value::Rate,
    },
};

fn keyed(rate: u32, burst: u32, most: usize) -> Bench {
    let options = RateLimit::per_second(rate).burst(burst).max_keys(most);
    Bench::of(&options.by_key(|key: &u64| *key))
}

impl Bench {
    fn admits_for(&self, key: u64, weight: u32) -> bool {
        let bucket = self.key(key).unwrap();
        let now = self.instant();
        self.limiter.take(&bucket, weight, now).is_ok()
    }
}

#[test]
fn each_key_has_its_own_budget() {
    let bench = keyed(10, 1, 100);
    assert!(bench.admits_for(1, 1));
    assert!(!bench.admits_for(1, 1));
    assert!(bench.admits_for(2, 1));
    assert!(bench.admits(1), "calls without a key have a budget too");
}

#[test]
fn a_million_keys_keep_no_more_buckets_than_there_may_be() {
    let mut bench = keyed(10, 1, 1000);
    for key in 0..1_000_000 {
        bench.at(key * MILLI);
        assert!(bench.admits_for(key, 1));
    }
    assert_eq!(bench.limiter.keys(), 1000);
}

#[test]
fn a_key_that_owes_is_not_forgotten_for_a_new_one() {
    let mut bench = keyed(1, 1, 2);
    assert!(bench.admits_for(1, 1));
    assert!(bench.at(MILLI).admits_for(2, 1));
    let later = bench.key(3).unwrap_err();
    assert!(
        (NANOS_PER_SECOND..NANOS_PER_SECOND + 100).contains(&later),
        "{later}"
    );
    assert!(!bench.admits_for(1, 1), "the budget of a key that is kept");
    assert!(bench.at(later).admits_for(3, 1));
    assert_eq!(bench.limiter.keys(), 2);
}

#[test]
fn a_key_that_somebody_waits_for_is_not_forgotten() {
    let mut bench = keyed(1, 1, 1);
    let bucket = bench.key(1).unwrap();
    let mut waiter = Waiter::default();
    waiter.join(&bucket);
    let hour = 3600 * NANOS_PER_SECOND;
    let later = bench.at(hour).key(2).unwrap_err();
    assert!(later > hour, "no busy loop");
    waiter.leave(&bucket);
    drop(bucket);
    assert!(bench.at(later).key(2).is_ok());
}

#[test]
fn a_key_that_is_held_is_not_forgotten() {
    let mut bench = keyed(1000, 10, 1);
    let bucket = bench.key(1).unwrap();
    let until = bench.instant() + std::time::Duration::from_secs(5);
    bench.limiter.hold(&bucket, until);
    drop(bucket);
    assert_eq!(
        bench.at(NANOS_PER_SECOND).key(2).unwrap_err(),
        5 * NANOS_PER_SECOND
    );
    assert!(bench.at(5 * NANOS_PER_SECOND).key(2).is_ok());
}

#[test]
fn windows_of_keys_are_forgotten_when_they_are_empty() {
    let options = RateLimit::per_second(2)
        .algorithm(Algorithm::SlidingWindow)
        .max_keys(1);
    let mut bench = Bench::of(&options.by_key(|key: &u64| *key));
    assert!(bench.admits_for(1, 1));
    assert_eq!(bench.at(MILLI).key(2).unwrap_err(), NANOS_PER_SECOND);
    assert!(bench.at(NANOS_PER_SECOND).admits_for(2, 2));
}

struct Upload {
    user: &'static str,
    size: u32,
}

#[test]
fn key_and_weight_may_be_said_in_any_order() {
    let upload = Upload {
        user: "ann",
        size: 7,
    };
    let one = RateLimit::per_second(5)
        .by_key(|u: &Upload| u.user)
        .weight(|u: &Upload| u.size);
    let two = RateLimit::per_second(5)
        .weight(|u: &Upload| u.size)
        .by_key(|u: &Upload| u.user);
    assert_eq!(
        charged(&*one.charge(), &upload),
        (Some(Key::from("ann")), 7)
    );
    assert_eq!(
        charged(&*two.charge(), &upload),
        (Some(Key::from("ann")), 7)
    );
    assert!(is_flat(&RateLimit::per_second(5)) && !is_flat(&one));
}

fn is_flat<L: Charge<Upload>>(_: &RateLimit<L>) -> bool {
    L::FLAT
}

fn charged<Q, L: Charge<Q>>(charge: &L, request: &Q) -> (Option<Key>, u32) {
    (charge.key(request), charge.weight(request))
}

proptest! {
    #[test]
    fn keys_that_are_forgotten_get_no_budget_by_it(
        rate in 1_u32..50,
        burst in 1_u32..5,
        most in 1_usize..4,
        steps in prop::collection::vec((0_u64..300_000_000, 0_u64..6, 0_u32..4), 1..300),
    ) {
        let mut bench = keyed(rate, burst, most);
        let mut models: BTreeMap<u64, Model> = BTreeMap::new();
        for (time, key, weight) in steps {
            let now = bench.now + time;
            bench.at(now);
            for model in models.values_mut() {
                model.advance(now, rate);
            }
            let Ok(bucket) = bench.key(key) else {
                let owing = models.values().filter(|model| !model.is_surely_fresh());
                prop_assert!(owing.count() >= most, "there was room for {key}");
                continue;
            };
            let model = models.entry(key).or_insert_with(|| Model::starting(now));
            let said = model.judge(weight, burst);
            let took = bench.limiter.take(&bucket, weight, bench.instant()).is_ok();
            prop_assert!(said != Verdict::Denies || !took, "too early for {key}");
            prop_assert!(said != Verdict::Admits || took, "too late for {key}");
            if took {
                model.take(weight);
            }
            prop_assert!(bench.limiter.keys() <= most);
        }
    }
}

#[test]
fn keyed_budgets_follow_a_new_rate() {
    let mut bench = keyed(1, 1, 10);
    assert!(bench.admits_for(1, 1));
    bench.set_rate(Rate::per_second(1000)).unwrap();
    assert!(bench.at(2 * MILLI).admits_for(1, 1));
}
