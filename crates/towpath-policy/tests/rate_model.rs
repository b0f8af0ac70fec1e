//! The budget of a rate limit under a model checker: many schedules of a few tasks each.
//!
//! It is private to the crate: its sources are compiled again, as part of this test.
//! A failure prints the seed and the schedule that led to it. Setting `SHUTTLE_RANDOM_SEED`
//! to the seed runs the same schedules again.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the limiter uses more of the sources than this"
)]

use shuttle::{
    rand::{Rng, thread_rng},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

#[path = "model/explore.rs"]
mod explore;
#[path = "../src/rate/gcra.rs"]
mod gcra;
#[path = "../src/rate/pace.rs"]
mod pace;
#[path = "../src/rate/rate_value.rs"]
mod rate_value;
#[path = "../src/rate/returns.rs"]
mod returns;
#[path = "../src/sync.rs"]
mod sync;
#[path = "../src/rate/versioned.rs"]
mod versioned;

use explore::explore;
use gcra::{Gcra, Spacing};
use pace::Pace;
use rate_value::Rate;
use versioned::Versioned;

const SECOND: u64 = 1_000_000_000;

#[test]
fn numbers_are_never_read_half_old_and_half_new() {
    explore(|| {
        let numbers = Arc::new(Versioned::new([0; 3]));
        let written = numbers.clone();
        let task = thread::spawn(move || {
            for number in 1..=4 {
                written.store([number; 3]);
            }
        });
        let mut last = 0;
        for _ in 0..3 {
            let [one, two, three] = numbers.load();
            assert!(one == two && two == three && one >= last);
            last = one;
        }
        task.join().unwrap();
        assert_eq!(numbers.load(), [4; 3]);
    });
}

/// One bucket and one clock; whoever was stopped after reading it is behind.
struct World {
    pace: Pace,
    bucket: Gcra,
    clock: AtomicU64,
    /// When the calls were taken that are made.
    made: Mutex<Vec<u64>>,
}

impl World {
    fn new(burst: u32) -> Arc<Self> {
        let pace = Pace::starting(Rate::per_second(1), burst);
        Arc::new(Self {
            pace,
            bucket: Gcra::fresh(&pace, 0),
            clock: AtomicU64::new(0),
            made: Mutex::default(),
        })
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::SeqCst)
    }

    fn let_time_pass(&self) {
        let time = thread_rng().gen_range(0..3) * SECOND / 2;
        self.clock.fetch_add(time, Ordering::SeqCst);
    }

    fn take_and_maybe_give_back(&self) {
        let now = self.now();
        let Ok(mark) = self.bucket.take(1, Spacing::Burst, &self.pace, now) else {
            return;
        };
        self.let_time_pass();
        if thread_rng().gen_bool(0.5) {
            self.bucket.give_back(mark, 1, || (self.pace, self.now()));
        } else {
            self.made.lock().unwrap().push(now);
        }
    }
}

#[test]
fn tasks_that_take_and_give_back_at_once_never_get_more_than_there_is() {
    const BURST: u32 = 2;
    explore(|| {
        let world = World::new(BURST);
        let tasks = [(); 3].map(|()| {
            let world = world.clone();
            thread::spawn(move || {
                for _ in 0..3 {
                    world.let_time_pass();
                    world.take_and_maybe_give_back();
                }
            })
        });
        for task in tasks {
            task.join().unwrap();
        }
        assert_exact(&mut world.made.lock().unwrap(), BURST.into());
    });
}

fn assert_exact(made: &mut [u64], burst: u64) {
    made.sort_unstable();
    for (index, first) in made.iter().enumerate() {
        for (sum, last) in (1..).zip(&made[index..]) {
            assert!(sum * SECOND <= burst * SECOND + last - first, "{made:?}");
        }
    }
}
