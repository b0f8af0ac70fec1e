//! The line of waiters and the permits under a model checker: many schedules of a few tasks each.
//!
//! Both are private to the crate: their sources are compiled again, as part of this test.
//! A failure prints the seed and the schedule that led to it. Setting `SHUTTLE_RANDOM_SEED`
//! to the seed runs the same schedules again.
#![cfg(shuttle)]

use shuttle::{
    future::{JoinError, JoinHandle, block_on, yield_now},
    rand::{Rng, thread_rng},
};

use explore::explore;

// Their unit tests are not part of this: the formatter would look for them here.
#[rustfmt::skip]
#[path = "../src/line.rs"]
mod line;
#[rustfmt::skip]
#[path = "../src/concurrency/permits.rs"]
mod permits;
#[path = "../src/sync.rs"]
mod sync;

#[path = "model/explore.rs"]
mod explore;
#[path = "model/of_line.rs"]
mod of_line;
#[path = "model/of_permits.rs"]
mod of_permits;

/// The tasks end, unless the schedule has lost somebody's wake-up.
fn join(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        block_on(task).expect("nobody aborts it");
    }
}

/// Aborts the tasks, each after a while, or lets them end.
fn abort_at_random(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        for _ in 0..thread_rng().gen_range(0..4) {
            block_on(yield_now());
        }
        task.abort();
        assert!(matches!(block_on(task), Ok(()) | Err(JoinError::Cancelled)));
    }
}
