//! Age: from the first message of a batch, for every key alike.

use std::time::Duration;

use super::{super::deadlines::SLACK, Bench, Rules, Trigger, count, rules};

#[test]
fn age_counts_from_the_first_message_and_is_not_reset_by_later_ones() {
    let mut bench = Bench::new(rules());
    bench.push('a', 1);
    for item in 2..=10 {
        bench.wait(100);
        bench.push('a', item);
    }
    assert_eq!(bench.due_in(), Some(Duration::from_millis(100)));
    bench.wait(99);
    assert_eq!(bench.seen(), []);
    bench.wait(1);
    assert_eq!(bench.seen(), [('a', (1..=10).collect(), Trigger::Age)]);
    assert_eq!(bench.batches.messages(), 0);
}

#[test]
fn a_cold_key_is_not_starved_by_a_hot_one() {
    let mut bench = Bench::new(Rules {
        max_messages: count(2),
        ..rules()
    });
    bench.push('c', 0);
    for item in 1..=1000 {
        bench.push('h', item);
        bench.wait(1);
    }
    let cold: Vec<_> = bench
        .seen()
        .into_iter()
        .filter(|(key, ..)| *key == 'c')
        .collect();
    assert_eq!(cold, [('c', vec![0], Trigger::Age)]);
}

#[test]
fn the_next_batch_of_a_key_has_a_deadline_of_its_own() {
    let mut bench = Bench::new(Rules {
        max_messages: count(2),
        ..rules()
    });
    bench.push('a', 1);
    bench.wait(400);
    bench.push('a', 2);
    bench.push('a', 3);
    assert_eq!(bench.due_in(), Some(Duration::from_secs(1)));
    bench.wait(600);
    assert_eq!(bench.seen(), [('a', vec![1, 2], Trigger::Count)]);
    bench.wait(400);
    assert_eq!(bench.seen(), [('a', vec![3], Trigger::Age)]);
}

#[test]
fn batches_come_due_in_the_order_they_were_opened() {
    let mut bench = Bench::new(rules());
    for (item, key) in (1..).zip(['c', 'a', 'b']) {
        bench.push(key, item);
        bench.wait(10);
    }
    bench.push('c', 4);
    bench.wait(5000);
    assert_eq!(
        bench
            .seen()
            .iter()
            .map(|(key, ..)| *key)
            .collect::<String>(),
        "cab"
    );
}

#[test]
fn the_deadline_of_a_batch_that_closed_is_forgotten() {
    let mut bench = Bench::new(rules());
    bench.push('a', 1);
    bench.wait(300);
    bench.push('b', 2);
    bench.push_marked('a', 3);
    assert_eq!(bench.due_in(), Some(Duration::from_secs(1)));
    bench.push_marked('b', 4);
    assert_eq!(bench.due_in(), None);
}

#[test]
fn without_a_limit_on_age_nothing_is_ever_due() {
    let mut bench = Bench::new(Rules {
        max_wait: Duration::MAX,
        ..rules()
    });
    bench.push('a', 1);
    assert_eq!(bench.due_in(), None);
    bench.wait(1_000_000_000);
    assert_eq!(bench.batches.messages(), 1);
}

#[test]
fn without_any_wait_a_batch_is_due_at_once() {
    let mut bench = Bench::new(Rules {
        max_wait: Duration::ZERO,
        ..rules()
    });
    bench.push('a', 1);
    bench.push('a', 2);
    assert_eq!(bench.due_in(), Some(Duration::ZERO));
    bench.wait(0);
    assert_eq!(bench.seen(), [('a', vec![1, 2], Trigger::Age)]);
}

#[test]
fn the_line_of_deadlines_stays_short_behind_a_cold_key() {
    let mut bench = Bench::new(Rules {
        max_messages: count(2),
        ..rules()
    });
    bench.push('c', 0);
    for item in 0..10_000 {
        bench.push('h', item);
        let most = 2 * bench.batches.open_keys() + SLACK;
        assert!(bench.batches.deadlines.len() <= most, "after item {item}");
    }
    assert_eq!(bench.due_in(), Some(Duration::from_secs(1)));
}
