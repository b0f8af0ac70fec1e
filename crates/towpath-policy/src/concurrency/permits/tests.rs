//! Who gets a permit, and when.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use proptest::{collection::vec, prelude::*};

use super::*;

/// Counts its wake-ups.
#[derive(Debug, Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Debug, Default)]
struct Caller {
    place: Place,
    bell: Arc<Bell>,
}

impl Caller {
    fn of(permits: &Permits) -> Self {
        let mut caller = Self::default();
        assert!(!caller.acquires(permits), "there is none to be had");
        caller
    }

    fn acquires(&mut self, permits: &Permits) -> bool {
        let waker = Waker::from(self.bell.clone());
        let polled = permits.poll_acquire(&mut self.place, &waker);
        assert_ne!(polled.is_ready(), self.place.is_waiting());
        polled.is_ready()
    }

    fn wakes(&self) -> usize {
        self.bell.0.load(Ordering::SeqCst)
    }
}

fn taken(limit: usize) -> Permits {
    let permits = Permits::new(limit);
    for _ in 0..limit {
        assert!(Caller::default().acquires(&permits));
    }
    permits
}

#[test]
fn as_many_run_as_the_limit_says() {
    let permits = taken(3);
    assert_eq!((permits.in_use(), permits.limit()), (3, 3));
    Caller::of(&permits);
}

#[test]
fn what_is_given_back_wakes_who_waits_longest() {
    let permits = taken(1);
    let (mut a, b) = (Caller::of(&permits), Caller::of(&permits));
    permits.release();
    assert_eq!((a.wakes(), b.wakes()), (1, 0));
    assert!(a.acquires(&permits));
}

#[test]
fn a_newcomer_does_not_overtake_who_waits() {
    let permits = taken(1);
    let mut waiting = Caller::of(&permits);
    permits.release();
    let mut newcomer = Caller::of(&permits);
    assert!(waiting.acquires(&permits));
    permits.release();
    assert!(newcomer.acquires(&permits));
}

#[test]
fn who_gets_one_wakes_the_next_only_if_there_is_more() {
    let permits = taken(2);
    let (mut a, b, c) = (
        Caller::of(&permits),
        Caller::of(&permits),
        Caller::of(&permits),
    );
    permits.release();
    assert!(a.acquires(&permits));
    assert_eq!(b.wakes(), 0, "there is nothing for it");
    permits.release();
    assert_eq!((b.wakes(), c.wakes()), (1, 0));
}

#[test]
fn two_that_come_back_at_once_serve_two() {
    let permits = taken(2);
    let (mut a, mut b) = (Caller::of(&permits), Caller::of(&permits));
    permits.release();
    permits.release();
    assert!(a.acquires(&permits));
    assert_eq!(b.wakes(), 1);
    assert!(b.acquires(&permits));
}

#[test]
fn one_that_was_woken_and_leaves_hands_the_permit_on() {
    let permits = taken(1);
    let (mut a, mut b) = (Caller::of(&permits), Caller::of(&permits));
    permits.release();
    permits.leave(&mut a.place);
    assert_eq!((a.wakes(), b.wakes()), (1, 1));
    assert!(b.acquires(&permits));
}

#[test]
fn a_waiter_that_leaves_holds_nothing() {
    let permits = taken(1);
    let mut a = Caller::of(&permits);
    permits.leave(&mut a.place);
    assert_eq!(permits.in_use(), 1);
    permits.release();
    assert!(Caller::default().acquires(&permits), "nobody waits");
}

#[test]
fn a_raised_limit_serves_as_many_as_there_is_room_for() {
    let permits = taken(1);
    let mut callers: Vec<_> = (0..3).map(|_| Caller::of(&permits)).collect();
    permits.set_limit(3);
    for caller in &mut callers[..2] {
        assert_eq!(caller.wakes(), 1);
        assert!(caller.acquires(&permits));
    }
    assert_eq!(callers[2].wakes(), 0);
    assert_eq!(permits.in_use(), 3);
}

#[test]
fn a_lowered_limit_lets_what_runs_end_and_nothing_new_begin() {
    let permits = taken(3);
    permits.set_limit(1);
    assert_eq!((permits.in_use(), permits.limit()), (3, 1));
    let mut waiting = Caller::of(&permits);
    permits.release();
    permits.release();
    assert!(!waiting.acquires(&permits));
    assert_eq!(waiting.wakes(), 0, "there was nothing for it");
    permits.release();
    assert_eq!(waiting.wakes(), 1);
    assert!(waiting.acquires(&permits));
    assert_eq!(permits.in_use(), 1);
}

#[test]
fn a_limit_of_nothing_holds_all_until_it_is_raised() {
    let permits = Permits::new(0);
    let mut caller = Caller::of(&permits);
    permits.set_limit(1);
    assert_eq!(caller.wakes(), 1);
    assert!(caller.acquires(&permits));
}

#[test]
fn no_limit_is_too_high() {
    let permits = Permits::new(usize::MAX);
    assert!(Caller::default().acquires(&permits));
    assert_eq!((permits.in_use(), permits.limit()), (1, u32::MAX as usize));
}

/// What may happen; the numbers choose a caller or a limit.
#[derive(Clone, Debug)]
enum Step {
    Poll(usize),
    Leave(usize),
    Release,
    Limit(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6usize).prop_map(Step::Poll),
        1 => (0..6usize).prop_map(Step::Leave),
        3 => Just(Step::Release),
        1 => (0..5usize).prop_map(Step::Limit),
    ]
}

proptest! {
    /// The naive line is a list of numbers; the naive permits are two counts.
    #[test]
    fn permits_agree_with_a_naive_line_and_nobody_sleeps_who_could_have_one(limit in 0..4usize, steps in vec(step(), 0..200)) {
        let permits = Permits::new(limit);
        let mut callers: Vec<_> = (0..6).map(|_| Caller::default()).collect();
        let (mut limit, mut in_use, mut line) = (limit, 0, Vec::new());
        let mut wakes_seen = [0; 6];
        for step in steps {
            match step {
                Step::Poll(who) => {
                    let place = line.iter().position(|&waits| waits == who);
                    let is_first = place.map_or(line.is_empty(), |place| place == 0);
                    let gets = is_first && in_use < limit;
                    wakes_seen[who] = callers[who].wakes();
                    prop_assert_eq!(callers[who].acquires(&permits), gets);
                    line.retain(|&waits| !(gets && waits == who));
                    if gets {
                        in_use += 1;
                    } else if place.is_none() {
                        line.push(who);
                    }
                }
                Step::Leave(who) => {
                    permits.leave(&mut callers[who].place);
                    line.retain(|&waits| waits != who);
                }
                Step::Release if in_use > 0 => {
                    permits.release();
                    in_use -= 1;
                }
                Step::Release => (),
                Step::Limit(new) => {
                    permits.set_limit(new);
                    limit = new;
                }
            }
            prop_assert_eq!((permits.in_use(), permits.limit()), (in_use, limit));
            if let Some(&first) = line.first() && in_use < limit {
                prop_assert!(callers[first].wakes() > wakes_seen[first]);
            }
        }
    }
}
