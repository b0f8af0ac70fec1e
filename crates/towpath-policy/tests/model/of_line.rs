//! A heap of tokens, and a line of those who want one.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use shuttle::{
    future::{JoinHandle, block_on, spawn},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::{
    abort_at_random, explore, join,
    line::{Line, Place},
};

/// Taking and giving is not sequentially consistent: the line's own fences must do.
#[derive(Debug, Default)]
struct Heap {
    tokens: AtomicUsize,
    line: Line,
    /// Who got one, in this order.
    served: Mutex<Vec<usize>>,
}

/// Waits for one token; leaves the line when it is dropped.
#[derive(Debug)]
struct Wait {
    name: usize,
    heap: Arc<Heap>,
    place: Place,
}

impl Heap {
    fn give(&self) {
        self.tokens.fetch_add(1, Ordering::Release);
        self.line.wake_first();
    }

    fn try_take(&self) -> bool {
        let one_less = |tokens: usize| tokens.checked_sub(1);
        self.tokens
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less)
            .is_ok()
    }
}

impl Wait {
    fn new(name: usize, heap: &Arc<Heap>) -> Self {
        Self {
            name,
            heap: heap.clone(),
            place: Place::default(),
        }
    }

    fn poll_once(&mut self) -> Poll<()> {
        block_on(poll_fn(|cx| Poll::Ready(Pin::new(&mut *self).poll(cx))))
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if !this.heap.line.join(&mut this.place, cx.waker()) || !this.heap.try_take() {
            return Poll::Pending;
        }
        this.heap.served.lock().expect("unpoisoned").push(this.name);
        this.heap.line.leave(&mut this.place);
        Poll::Ready(())
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.heap.line.leave(&mut self.place);
    }
}

fn waiters(heap: &Arc<Heap>, names: impl IntoIterator<Item = usize>) -> Vec<JoinHandle<()>> {
    let start = |name| spawn(Wait::new(name, heap));
    names.into_iter().map(start).collect()
}

fn givers(heap: &Arc<Heap>, givers: usize, tokens: usize) -> Vec<JoinHandle<()>> {
    let start = |_| {
        let heap = heap.clone();
        spawn(async move { (0..tokens).for_each(|_| heap.give()) })
    };
    (0..givers).map(start).collect()
}

fn end(heap: &Heap, tokens_left: usize, tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    join(tasks);
    assert_eq!(heap.tokens.load(Ordering::SeqCst), tokens_left);
    assert!(heap.line.is_empty());
    assert_eq!(heap.line.len(), 0);
}

#[test]
fn everybody_is_served_whoever_joins_while_tokens_come() {
    explore(|| {
        let heap = Arc::default();
        let tasks = [waiters(&heap, 0..4), givers(&heap, 2, 2)];
        end(&heap, 0, tasks.into_iter().flatten());
    });
}

#[test]
fn a_place_that_is_left_passes_its_wake_up_on() {
    explore(|| {
        let heap = Arc::default();
        let mut first = Wait::new(0, &heap);
        assert!(first.poll_once().is_pending());
        let tasks = [waiters(&heap, [1]), givers(&heap, 1, 1)];
        drop(first);
        end(&heap, 0, tasks.into_iter().flatten());
    });
}

#[test]
fn waiters_aborted_at_any_point_leave_all_to_the_others() {
    explore(|| {
        let heap = Arc::default();
        let aborted = waiters(&heap, 0..2);
        let tasks = [waiters(&heap, 2..4), givers(&heap, 2, 2)];
        abort_at_random(aborted);
        join(tasks.into_iter().flatten());
        let served = heap.served.lock().expect("unpoisoned").len();
        end(&heap, 4 - served, []);
    });
}

#[test]
fn whoever_came_first_is_served_first() {
    explore(|| {
        let heap = Arc::default();
        let mut waits: Vec<_> = (0..3).map(|name| Wait::new(name, &heap)).collect();
        for wait in &mut waits {
            assert!(wait.poll_once().is_pending());
        }
        let givers = givers(&heap, 2, 2);
        let newcomer = waiters(&heap, [3]);
        let waits = waits.into_iter().rev().map(spawn).collect::<Vec<_>>();
        end(&heap, 0, waits.into_iter().chain(givers).chain(newcomer));
        assert_eq!(*heap.served.lock().expect("unpoisoned"), [0, 1, 2, 3]);
    });
}

#[test]
fn a_place_that_moves_to_another_task_is_woken_there() {
    explore(|| {
        let heap = Arc::default();
        let mut moved = Wait::new(0, &heap);
        assert!(moved.poll_once().is_pending());
        let givers = givers(&heap, 1, 1);
        end(&heap, 0, [spawn(moved)].into_iter().chain(givers));
    });
}

#[test]
fn all_see_what_all_are_woken_for() {
    explore(|| {
        let gate: Arc<(AtomicBool, Line)> = Arc::default();
        let tasks: Vec<_> = (0..3).map(|_| spawn(pass(gate.clone()))).collect();
        gate.0.store(true, Ordering::Release);
        gate.1.wake_all();
        join(tasks);
        assert!(gate.1.is_empty());
    });
}

async fn pass(gate: Arc<(AtomicBool, Line)>) {
    let mut place = Place::default();
    poll_fn(|cx| {
        gate.1.join(&mut place, cx.waker());
        if gate.0.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
    gate.1.leave(&mut place);
}

/// Shows that the checker sees a lost wake-up.
#[test]
#[should_panic(expected = "deadlock")]
fn control_who_looks_before_it_joins_misses_its_wake_up() {
    explore(|| {
        let heap: Arc<Heap> = Arc::default();
        let givers = givers(&heap, 1, 1);
        let mut place = Place::default();
        block_on(poll_fn(|cx| {
            if heap.try_take() {
                return Poll::Ready(());
            }
            heap.line.join(&mut place, cx.waker());
            Poll::Pending
        }));
        heap.line.leave(&mut place);
        end(&heap, 0, givers);
    });
}

/// Shows that the checker sees a place that nobody left.
#[test]
#[should_panic(expected = "deadlock")]
fn control_a_place_that_is_forgotten_holds_up_the_others() {
    explore(|| {
        let heap = Arc::default();
        let mut first = Wait::new(0, &heap);
        assert!(first.poll_once().is_pending());
        let tasks = [waiters(&heap, [1]), givers(&heap, 1, 1)];
        mem::forget(first);
        end(&heap, 0, tasks.into_iter().flatten());
    });
}

/// Shows that the checker sees a waker that went to the wrong task.
#[test]
#[should_panic(expected = "deadlock")]
fn control_a_place_that_moves_and_keeps_its_waker_is_not_woken() {
    explore(|| {
        let heap: Arc<Heap> = Arc::default();
        let mut place = Place::default();
        heap.line.join(&mut place, Waker::noop());
        let givers = givers(&heap, 1, 1);
        block_on(poll_fn(|_| {
            if heap.try_take() {
                return Poll::Ready(());
            }
            Poll::Pending
        }));
        heap.line.leave(&mut place);
        end(&heap, 0, givers);
    });
}
