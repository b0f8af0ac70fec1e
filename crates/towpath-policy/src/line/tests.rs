//! Who is first in a line, and who is woken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
};

use super::*;

/// Counts its wake-ups.
#[derive(Debug, Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waiter with its place and its bell.
#[derive(Debug, Default)]
struct Waiter {
    place: Place,
    bell: Arc<Bell>,
}

impl Waiter {
    fn in_line(line: &Line) -> Self {
        let mut waiter = Self::default();
        waiter.join(line);
        waiter
    }

    fn join(&mut self, line: &Line) -> bool {
        line.join(&mut self.place, &Waker::from(self.bell.clone()))
    }

    fn wakes(&self) -> usize {
        self.bell.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_line_is_empty_until_somebody_joins_and_after_all_have_left() {
    let line = Line::default();
    assert!(line.is_empty());
    let (mut a, mut b) = (Waiter::in_line(&line), Waiter::in_line(&line));
    assert!(!line.is_empty());
    line.leave(&mut a.place);
    assert!(!line.is_empty());
    line.leave(&mut b.place);
    assert!(line.is_empty());
}

#[test]
fn whoever_joined_first_is_first_until_it_leaves() {
    let line = Line::default();
    let (mut a, mut b) = (Waiter::default(), Waiter::default());
    assert!(a.join(&line));
    assert!(!b.join(&line));
    assert!(a.join(&line), "joining again keeps the place");
    line.leave(&mut a.place);
    assert!(b.join(&line));
    assert!(!a.join(&line), "joining after leaving is at the end");
}

#[test]
fn the_first_is_woken_once_until_it_looks_again() {
    let line = Line::default();
    let (mut a, b) = (Waiter::in_line(&line), Waiter::in_line(&line));
    line.wake_first();
    line.wake_first();
    assert_eq!((a.wakes(), b.wakes()), (1, 0));
    a.join(&line);
    line.wake_first();
    assert_eq!((a.wakes(), b.wakes()), (2, 0));
}

#[test]
fn who_is_next_is_woken_when_the_first_leaves() {
    let line = Line::default();
    let (mut a, b) = (Waiter::in_line(&line), Waiter::in_line(&line));
    line.leave(&mut a.place);
    assert_eq!((a.wakes(), b.wakes()), (0, 1));
}

#[test]
fn a_wake_up_that_the_first_did_not_use_reaches_the_next() {
    let line = Line::default();
    let (mut a, b) = (Waiter::in_line(&line), Waiter::in_line(&line));
    line.wake_first();
    line.leave(&mut a.place);
    assert_eq!((a.wakes(), b.wakes()), (1, 1));
}

#[test]
fn nobody_is_woken_when_one_in_the_middle_leaves() {
    let line = Line::default();
    let (a, mut b, c) = (
        Waiter::in_line(&line),
        Waiter::in_line(&line),
        Waiter::in_line(&line),
    );
    line.leave(&mut b.place);
    assert_eq!((a.wakes(), b.wakes(), c.wakes()), (0, 0, 0));
}

#[test]
fn nobody_is_woken_when_the_first_steps_out() {
    let line = Line::default();
    let (mut a, mut b) = (Waiter::in_line(&line), Waiter::in_line(&line));
    line.step_out(&mut a.place);
    assert_eq!((a.wakes(), b.wakes()), (0, 0));
    assert!(b.join(&line), "it is first all the same");
}

#[test]
fn leaving_without_a_place_does_nothing() {
    let line = Line::default();
    let (a, mut b) = (Waiter::in_line(&line), Waiter::default());
    line.leave(&mut b.place);
    line.step_out(&mut b.place);
    assert!(!line.is_empty());
    assert_eq!(a.wakes(), 0);
}

#[test]
fn all_are_woken_and_stay_in_line() {
    let line = Line::default();
    let (mut a, mut b) = (Waiter::in_line(&line), Waiter::in_line(&line));
    line.wake_all();
    line.wake_all();
    assert_eq!((a.wakes(), b.wakes()), (1, 1));
    assert!(!b.join(&line));
    assert!(a.join(&line));
}

#[test]
fn a_place_that_moves_to_another_task_wakes_that_one() {
    let line = Line::default();
    let mut a = Waiter::in_line(&line);
    let before = std::mem::take(&mut a.bell);
    assert!(a.join(&line));
    line.wake_first();
    assert_eq!(
        (before.0.load(Ordering::SeqCst), a.wakes()),
        (0, 1),
        "the waker was renewed"
    );
}

#[test]
fn a_waker_is_not_cloned_again_for_the_same_task() {
    let line = Line::default();
    let mut a = Waiter::in_line(&line);
    let held = Arc::strong_count(&a.bell);
    a.join(&line);
    assert_eq!(Arc::strong_count(&a.bell), held);
    line.leave(&mut a.place);
    assert_eq!(Arc::strong_count(&a.bell), 1, "no waker stays behind");
}

/// Goes back to the line from inside its waker.
#[derive(Debug)]
struct Reentrant(Arc<Line>);

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        self.0.wake_first();
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        let mut place = Place::default();
        self.0.join(&mut place, Waker::noop());
        self.0.leave(&mut place);
    }
}

#[test]
fn a_waker_may_use_the_line_when_it_is_called_or_dropped() {
    let line = Arc::new(Line::default());
    let reentrant = || Waker::from(Arc::new(Reentrant(line.clone())));
    let (mut a, mut b) = (Place::default(), Place::default());
    line.join(&mut a, &reentrant());
    line.join(&mut b, &reentrant());
    line.join(&mut b, &reentrant());
    line.wake_all();
    line.join(&mut b, &reentrant());
    line.leave(&mut a);
    line.leave(&mut b);
    assert!(line.is_empty());
}

#[test]
fn leaving_from_anywhere_in_a_long_line_keeps_the_order_of_the_rest() {
    let line = Line::default();
    let mut waiters: Vec<_> = (0..1000).map(|_| Waiter::in_line(&line)).collect();
    for waiter in waiters.iter_mut().skip(1).step_by(2) {
        line.leave(&mut waiter.place);
    }
    for waiter in waiters.iter_mut().step_by(2) {
        assert!(waiter.join(&line));
        line.leave(&mut waiter.place);
    }
    assert!(line.is_empty());
}
