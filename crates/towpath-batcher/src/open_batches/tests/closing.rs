//! Count, weight and flush marks.

use super::{Bench, Rules, Trigger, count, rules};

#[test]
fn a_batch_closes_with_the_message_that_completes_its_count() {
    let mut bench = Bench::new(Rules {
        max_messages: count(3),
        ..rules()
    });
    for item in 1..=7 {
        bench.push('a', item);
    }
    assert_eq!(
        bench.seen(),
        [
            ('a', vec![1, 2, 3], Trigger::Count),
            ('a', vec![4, 5, 6], Trigger::Count)
        ],
    );
    assert_eq!(
        (bench.batches.open_keys(), bench.batches.messages()),
        (1, 1)
    );
}

#[test]
fn a_count_of_one_closes_each_message_at_once_and_opens_nothing() {
    let mut bench = Bench::new(Rules {
        max_messages: count(1),
        ..rules()
    });
    bench.push('a', 1);
    bench.push('a', 2);
    assert_eq!(
        bench.seen(),
        [
            ('a', vec![1], Trigger::Count),
            ('a', vec![2], Trigger::Count)
        ]
    );
    assert!(bench.batches.is_empty());
    assert_eq!(bench.due_in(), None);
}

#[test]
fn a_batch_closes_before_the_message_that_would_make_it_too_heavy() {
    let mut bench = Bench::new(Rules {
        max_weight: Some(100),
        ..rules()
    });
    for (item, weight) in [(1, 60), (2, 30), (3, 90)] {
        bench.push_heavy('a', item, weight);
    }
    assert_eq!(bench.closed[0].weight, 90);
    assert_eq!(bench.seen(), [('a', vec![1, 2], Trigger::Weight)]);
    assert_eq!(bench.batches.messages(), 1);
}

#[test]
fn a_batch_may_weigh_exactly_the_limit() {
    let mut bench = Bench::new(Rules {
        max_weight: Some(100),
        ..rules()
    });
    bench.push_heavy('a', 1, 60);
    bench.push_heavy('a', 2, 40);
    assert_eq!(bench.seen(), []);
    bench.push_heavy('a', 3, 1);
    assert_eq!(bench.seen(), [('a', vec![1, 2], Trigger::Weight)]);
}

#[test]
fn an_oversized_message_goes_alone() {
    let mut bench = Bench::new(Rules {
        max_weight: Some(100),
        ..rules()
    });
    bench.push_heavy('a', 1, 10);
    bench.push_heavy('a', 2, 101);
    bench.push_heavy('a', 3, 10);
    assert_eq!(
        bench.seen(),
        [
            ('a', vec![1], Trigger::Weight),
            ('a', vec![2], Trigger::Weight)
        ]
    );
    assert_eq!(bench.batches.messages(), 1);
}

#[test]
fn weights_beyond_what_can_be_counted_still_close_the_batch() {
    let mut bench = Bench::new(Rules {
        max_weight: Some(u64::MAX - 1),
        ..rules()
    });
    bench.push_heavy('a', 1, u64::MAX - 1);
    bench.push_heavy('a', 2, u64::MAX - 1);
    assert_eq!(bench.seen(), [('a', vec![1], Trigger::Weight)]);
}

#[test]
fn a_flush_mark_closes_the_batch_of_its_key_with_the_earlier_messages() {
    let mut bench = Bench::new(rules());
    bench.push('a', 1);
    bench.push('b', 2);
    bench.push_marked('a', 3);
    assert_eq!(bench.seen(), [('a', vec![1, 3], Trigger::Flush)]);
    assert_eq!(bench.batches.open_keys(), 1);
}

#[test]
fn a_first_message_marked_as_flushing_goes_alone() {
    let mut bench = Bench::new(rules());
    bench.push_marked('a', 1);
    assert_eq!(bench.seen(), [('a', vec![1], Trigger::Flush)]);
    assert!(bench.batches.is_empty());
}

#[test]
fn the_count_is_named_when_a_flush_mark_completes_it() {
    let mut bench = Bench::new(Rules {
        max_messages: count(2),
        ..rules()
    });
    bench.push('a', 1);
    bench.push_marked('a', 2);
    assert_eq!(bench.seen(), [('a', vec![1, 2], Trigger::Count)]);
}

#[test]
fn the_weight_is_named_when_an_oversized_message_is_marked() {
    let mut bench = Bench::new(Rules {
        max_weight: Some(1),
        max_messages: count(1),
        ..rules()
    });
    bench
        .batches
        .push('a', 1, 2, true, bench.now, &mut bench.closed);
    assert_eq!(bench.seen(), [('a', vec![1], Trigger::Weight)]);
}

#[test]
fn a_drain_closes_every_open_batch() {
    let mut bench = Bench::new(rules());
    for (key, item) in [('a', 1), ('b', 2), ('a', 3)] {
        bench.push(key, item);
    }
    bench
        .batches
        .flush_all(Trigger::Drain, bench.now, &mut bench.closed);
    assert_eq!(
        bench.seen(),
        [
            ('b', vec![2], Trigger::Drain),
            ('a', vec![1, 3], Trigger::Drain)
        ]
    );
    assert!(bench.batches.is_empty());
    assert_eq!((bench.batches.messages(), bench.due_in()), (0, None));
    assert_eq!(bench.batches.deadlines.len(), 0);
}

#[test]
fn batches_open_again_after_a_drain() {
    let mut bench = Bench::new(rules());
    bench.push('a', 1);
    bench
        .batches
        .flush_all(Trigger::Drain, bench.now, &mut bench.closed);
    bench.push('a', 2);
    bench.wait(1000);
    assert_eq!(
        bench.seen(),
        [('a', vec![1], Trigger::Drain), ('a', vec![2], Trigger::Age)]
    );
}
