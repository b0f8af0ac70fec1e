//! The user's own accumulator.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Bench, Rules, Trigger, count, rules};
use crate::{Close, split_fn};

#[test]
fn a_splitter_closes_before_the_message_that_does_not_belong() {
    let by_ten = split_fn(None, |decade: &mut Option<u32>, item: &u32| {
        let same = decade
            .replace(item / 10)
            .is_none_or(|decade| decade == item / 10);
        if same { Close::No } else { Close::Before }
    });
    let mut bench = Bench::split_by(rules(), by_ten);
    for item in [1, 2, 11, 12, 13, 21] {
        bench.push('a', item);
    }
    assert_eq!(
        bench.seen(),
        [
            ('a', vec![1, 2], Trigger::Custom),
            ('a', vec![11, 12, 13], Trigger::Custom)
        ],
    );
    assert_eq!(bench.batches.messages(), 1);
}

#[test]
fn a_splitter_closes_after_the_message_that_completes_the_batch() {
    let to_ten = split_fn(0, |sum: &mut u32, item: &u32| {
        *sum += item;
        if *sum >= 10 { Close::After } else { Close::No }
    });
    let mut bench = Bench::split_by(rules(), to_ten);
    for item in [4, 4, 4, 20, 1] {
        bench.push('a', item);
    }
    assert_eq!(
        bench.seen(),
        [
            ('a', vec![4, 4, 4], Trigger::Custom),
            ('a', vec![20], Trigger::Custom)
        ]
    );
    assert_eq!(bench.batches.messages(), 1);
}

#[test]
fn each_key_has_a_state_of_its_own() {
    let pairs = split_fn(0, |seen: &mut u32, _: &u32| {
        *seen += 1;
        if *seen == 2 { Close::After } else { Close::No }
    });
    let mut bench = Bench::split_by(rules(), pairs);
    for (key, item) in [('a', 1), ('b', 2), ('b', 3), ('a', 4)] {
        bench.push(key, item);
    }
    assert_eq!(
        bench.seen(),
        [
            ('b', vec![2, 3], Trigger::Custom),
            ('a', vec![1, 4], Trigger::Custom)
        ]
    );
}

#[test]
fn a_message_closed_before_may_then_close_alone() {
    let alone_if_odd = split_fn(false, |started: &mut bool, item: &u32| {
        match (item % 2 == 1, std::mem::replace(started, true)) {
            (true, true) => Close::Before,
            (true, false) => Close::After,
            (false, _) => Close::No,
        }
    });
    let mut bench = Bench::split_by(rules(), alone_if_odd);
    for item in [2, 4, 5, 6] {
        bench.push('a', item);
    }
    assert_eq!(
        bench.seen(),
        [
            ('a', vec![2, 4], Trigger::Custom),
            ('a', vec![5], Trigger::Custom)
        ]
    );
    assert_eq!(bench.batches.messages(), 1);
}

#[test]
fn a_splitter_that_always_closes_before_still_makes_progress() {
    let mut bench = Bench::split_by(rules(), split_fn((), |(), _: &u32| Close::Before));
    for item in 1..=3 {
        bench.push('a', item);
    }
    assert_eq!(
        bench.seen(),
        [
            ('a', vec![1], Trigger::Custom),
            ('a', vec![2], Trigger::Custom)
        ]
    );
    assert_eq!(bench.batches.messages(), 1);
}

#[test]
fn count_is_named_before_custom_and_custom_before_flush() {
    let rules = Rules {
        max_messages: count(2),
        ..rules()
    };
    let mut bench = Bench::split_by(
        rules,
        split_fn(
            (),
            |(), item: &u32| {
                if *item >= 2 { Close::After } else { Close::No }
            },
        ),
    );
    bench.push('a', 1);
    bench.push_marked('a', 2);
    bench.push_marked('a', 3);
    assert_eq!(
        bench.seen(),
        [
            ('a', vec![1, 2], Trigger::Count),
            ('a', vec![3], Trigger::Custom)
        ]
    );
}

#[test]
fn a_panicking_splitter_fails_the_message_it_saw_and_no_other() {
    let picky = split_fn((), |(), item: &u32| {
        assert_ne!(*item, 13, "no thirteens");
        Close::No
    });
    let mut bench = Bench::split_by(rules(), picky);
    for (key, item) in [('a', 1), ('a', 13), ('b', 13), ('a', 2)] {
        let pushed = catch_unwind(AssertUnwindSafe(|| bench.push(key, item)));
        assert_eq!(pushed.is_err(), item == 13);
    }
    assert_eq!(
        (bench.batches.open_keys(), bench.batches.messages()),
        (1, 2)
    );
    bench.wait(1000);
    assert_eq!(bench.seen(), [('a', vec![1, 2], Trigger::Age)]);
}
