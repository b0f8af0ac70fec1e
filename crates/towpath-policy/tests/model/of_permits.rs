//! Tasks that run under permits, and count themselves.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use shuttle::{
    future::{JoinHandle, block_on, spawn, yield_now},
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::{abort_at_random, explore, join, line::Place, permits::Permits};

#[derive(Debug)]
struct World {
    permits: Permits,
    running: AtomicUsize,
}

/// Waits for a permit; leaves the line when it is dropped.
#[derive(Debug)]
struct Acquire {
    world: Arc<World>,
    place: Place,
}

/// Runs, and gives its permit back when it is dropped.
#[derive(Debug)]
struct Running {
    world: Arc<World>,
    /// How many ran when this began, itself included.
    with: usize,
}

impl World {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Permits::new(limit),
            running: AtomicUsize::new(0),
        })
    }

    /// Nobody waits or runs, and there are as many permits as the limit says.
    fn assert_idle(self: &Arc<Self>) {
        assert_eq!((self.permits.in_use(), self.permits.waiting()), (0, 0));
        let all: Vec<_> = (0..self.permits.limit())
            .map(|_| Acquire::new(self).poll_once().expect("there is one"))
            .collect();
        assert!(
            Acquire::new(self).poll_once().is_none(),
            "no more than that"
        );
        drop(all);
    }
}

impl Acquire {
    fn new(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            place: Place::default(),
        }
    }

    fn poll_once(&mut self) -> Option<Running> {
        block_on(poll_fn(|cx| {
            Poll::Ready(match Pin::new(&mut *self).poll(cx) {
                Poll::Ready(running) => Some(running),
                Poll::Pending => None,
            })
        }))
    }
}

impl Future for Acquire {
    type Output = Running;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Running> {
        let this = self.get_mut();
        let polled = this.world.permits.poll_acquire(&mut this.place, cx.waker());
        polled.map(|()| Running::new(&this.world))
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        self.world.permits.leave(&mut self.place);
    }
}

impl Running {
    fn new(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            with: world.running.fetch_add(1, Ordering::SeqCst) + 1,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.world.running.fetch_sub(1, Ordering::SeqCst);
        self.world.permits.release();
    }
}

/// Runs a few times, never with more than the limit.
async fn work(world: Arc<World>, times: usize, limit: usize) {
    for _ in 0..times {
        let running = Acquire::new(&world).await;
        assert!(running.with <= limit, "more than the limit");
        yield_now().await;
    }
}

fn workers(world: &Arc<World>, tasks: usize, limit: usize) -> Vec<JoinHandle<()>> {
    let start = |_| spawn(work(world.clone(), 2, limit));
    (0..tasks).map(start).collect()
}

#[test]
fn everybody_runs_in_the_end_and_never_more_than_the_limit_at_once() {
    explore(|| {
        let world = World::new(2);
        join(workers(&world, 4, 2));
        world.assert_idle();
    });
}

#[test]
fn no_permit_is_lost_by_tasks_aborted_at_any_point() {
    explore(|| {
        let world = World::new(1);
        let aborted = workers(&world, 2, 1);
        let others = workers(&world, 2, 1);
        abort_at_random(aborted);
        join(others);
        world.assert_idle();
    });
}

#[test]
fn a_permit_passes_on_from_one_that_leaves_while_it_is_first() {
    explore(|| {
        let world = World::new(1);
        let running = Acquire::new(&world).poll_once();
        let mut first = Acquire::new(&world);
        assert!(first.poll_once().is_none());
        let others = workers(&world, 1, 1);
        let ends = spawn(async move { drop(running) });
        drop(first);
        join(others.into_iter().chain([ends]));
        world.assert_idle();
    });
}

#[test]
fn a_raised_limit_wakes_as_many_as_may_run() {
    explore(|| {
        let world = World::new(0);
        let together = Arc::new(Barrier::new(2));
        let start = |_| {
            let (world, together) = (world.clone(), together.clone());
            spawn(async move {
                let _running = Acquire::new(&world).await;
                together.wait();
            })
        };
        let tasks: Vec<_> = (0..2).map(start).collect();
        world.permits.set_limit(2);
        join(tasks);
        world.assert_idle();
    });
}

#[test]
fn a_lowered_limit_binds_whoever_comes_after() {
    explore(|| {
        let world = World::new(2);
        let lowered = Arc::new(AtomicBool::new(false));
        let start = |_| {
            let (world, lowered) = (world.clone(), lowered.clone());
            spawn(async move {
                let limit = 2 - usize::from(lowered.load(Ordering::SeqCst));
                work(world.clone(), 1, limit).await;
                let limit = 2 - usize::from(lowered.load(Ordering::SeqCst));
                work(world, 1, limit).await;
            })
        };
        let tasks: Vec<_> = (0..3).map(start).collect();
        world.permits.set_limit(1);
        lowered.store(true, Ordering::SeqCst);
        join(tasks);
        world.assert_idle();
    });
}

#[test]
fn a_limit_that_goes_up_and_down_loses_nobody() {
    explore(|| {
        let world = World::new(1);
        let aborted = workers(&world, 1, 3);
        let others = workers(&world, 3, 3);
        for limit in [3, 0, 2, 1] {
            world.permits.set_limit(limit);
        }
        abort_at_random(aborted);
        join(others);
        world.assert_idle();
    });
}

/// Shows that the checker sees a permit that is lost.
#[test]
#[should_panic(expected = "deadlock")]
fn control_a_permit_that_is_forgotten_hangs_the_others() {
    explore(|| {
        let world = World::new(1);
        let forgets = {
            let world = world.clone();
            spawn(async move { mem::forget(Acquire::new(&world).await) })
        };
        let others = workers(&world, 1, 1);
        join(others.into_iter().chain([forgets]));
    });
}

/// Shows that the checker sees a waiter that is dropped in line.
#[test]
#[should_panic(expected = "deadlock")]
fn control_a_waiter_that_does_not_leave_hangs_the_others() {
    explore(|| {
        let world = World::new(1);
        let running = Acquire::new(&world).poll_once();
        let mut first = Acquire::new(&world);
        assert!(first.poll_once().is_none());
        let others = workers(&world, 1, 1);
        drop(running);
        mem::forget(first);
        join(others);
    });
}

/// Shows that the checker sees too many at once.
#[test]
#[should_panic(expected = "more than the limit")]
fn control_a_permit_given_back_too_early_lets_in_too_many() {
    explore(|| {
        let world = World::new(1);
        let early = {
            let world = world.clone();
            spawn(async move {
                let running = Acquire::new(&world).await;
                world.permits.release();
                yield_now().await;
                world.running.fetch_sub(1, Ordering::SeqCst);
                mem::forget(running);
            })
        };
        let others = workers(&world, 2, 1);
        join(others.into_iter().chain([early]));
    });
}
