//! Keys: kept apart, bounded, evicted; and the buffers that go round.

use super::{Bench, Rules, Trigger, count, rules};

#[test]
fn keys_are_never_mixed_and_count_by_themselves() {
    let mut bench = Bench::new(Rules {
        max_messages: count(2),
        ..rules()
    });
    for (key, item) in [('a', 1), ('b', 2), ('c', 3), ('b', 4), ('a', 5)] {
        bench.push(key, item);
    }
    assert_eq!(
        bench.seen(),
        [
            ('b', vec![2, 4], Trigger::Count),
            ('a', vec![1, 5], Trigger::Count)
        ]
    );
    assert_eq!(bench.batches.open_keys(), 1);
}

#[test]
fn a_key_too_many_evicts_the_least_recently_touched_one() {
    let mut bench = Bench::new(Rules {
        max_open_keys: count(2),
        ..rules()
    });
    for (key, item) in [('a', 1), ('b', 2), ('a', 3), ('c', 4)] {
        bench.push(key, item);
    }
    assert_eq!(bench.seen(), [('b', vec![2], Trigger::Evicted)]);
    assert_eq!(
        (bench.batches.open_keys(), bench.batches.messages()),
        (2, 3)
    );
    bench.wait(1000);
    assert_eq!(
        bench.seen(),
        [
            ('a', vec![1, 3], Trigger::Age),
            ('c', vec![4], Trigger::Age)
        ]
    );
}

#[test]
fn with_room_for_one_key_every_change_of_key_evicts() {
    let mut bench = Bench::new(Rules {
        max_open_keys: count(1),
        ..rules()
    });
    for (key, item) in [('a', 1), ('a', 2), ('b', 3), ('a', 4)] {
        bench.push(key, item);
    }
    assert_eq!(
        bench.seen(),
        [
            ('a', vec![1, 2], Trigger::Evicted),
            ('b', vec![3], Trigger::Evicted)
        ]
    );
}

#[test]
fn a_message_that_goes_alone_evicts_nobody() {
    let mut bench = Bench::new(Rules {
        max_open_keys: count(1),
        ..rules()
    });
    bench.push('a', 1);
    bench.push_marked('b', 2);
    assert_eq!(bench.seen(), [('b', vec![2], Trigger::Flush)]);
    assert_eq!(bench.batches.messages(), 1);
}

#[test]
fn a_buffer_given_back_is_used_again() {
    let mut bench = Bench::new(rules());
    let buffer = Vec::with_capacity(1000);
    let place = buffer.as_ptr();
    bench.batches.give_back(buffer);
    bench.push_marked('a', 1);
    assert_eq!(bench.closed[0].items.as_ptr(), place);
    assert_eq!(bench.seen(), [('a', vec![1], Trigger::Flush)]);
}

#[test]
fn what_is_left_in_a_buffer_given_back_never_comes_out_again() {
    let mut bench = Bench::new(rules());
    bench.batches.give_back(vec![7, 8, 9]);
    bench.push_marked('a', 1);
    assert_eq!(bench.seen(), [('a', vec![1], Trigger::Flush)]);
}

#[test]
fn no_more_buffers_are_kept_than_keys_may_be_open_nor_more_than_64() {
    for (open_keys, kept) in [(3, 3), (1000, 64)] {
        let mut bench = Bench::new(Rules {
            max_open_keys: count(open_keys),
            ..rules()
        });
        for _ in 0..200 {
            bench.batches.give_back(Vec::with_capacity(1));
        }
        assert_eq!(bench.batches.spare.len(), kept);
    }
}
