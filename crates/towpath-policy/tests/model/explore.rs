//! Runs a model on many schedules.

use std::hash::{BuildHasher, RandomState};

use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
};

/// Of each of the two kinds, for each test.
const SCHEDULES: usize = 20_000;

/// How often a schedule of the second kind changes who goes first.
const DEPTH: usize = 4;

/// Runs a model on random schedules, and on some where one task runs as long as it can.
pub(crate) fn explore(model: fn()) {
    let seed = RandomState::new().hash_one(SCHEDULES);
    println!("seed: {seed}, unless SHUTTLE_RANDOM_SEED is set");
    let random = run(RandomScheduler::new_from_seed(seed, SCHEDULES), model);
    let greedy = run(PctScheduler::new_from_seed(seed, DEPTH, SCHEDULES), model);
    println!("schedules: {}", random + greedy);
}

fn run(scheduler: impl Scheduler + 'static, model: fn()) -> usize {
    Runner::new(scheduler, Config::default()).run(model)
}
