//! Wall and CPU time of several contenders, in rounds that interleave them.
//!
//! Every second round goes in reverse order, so that a machine that slows down or warms up
//! in between favours nobody; the median of the rounds counts.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::case::{Case, Unsound};
use crate::measure::clock::{Spent, time};
use crate::measure::median;

/// Messages of the run that finds out how long the others must be.
const TRIAL: u32 = 20_000;

/// Messages of one run at most.
const LONGEST: u32 = 20_000_000;

/// How much to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rounds per job.
    pub rounds: u32,
    /// About how long one run of one contender lasts.
    pub run: Duration,
}

/// Time per message in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// On the wall.
    pub wall_ns: f64,
    /// On all cores together.
    pub cpu_ns: Option<f64>,
}

/// Measures the contenders of one job against each other, in the order given.
///
/// # Errors
/// Fails when a contender acknowledges other messages than it was given.
pub fn compare(cases: &[Case], plan: Plan, runtime: &Runtime) -> Result<Vec<Timing>, Unsound> {
    let lengths = cases
        .iter()
        .map(|case| length(case, plan.run, runtime))
        .collect::<Result<Vec<_>, _>>()?;
    interleave(cases.len(), plan.rounds, |position| {
        let messages = lengths[position];
        Ok(timing(run(&cases[position], messages, runtime)?, messages))
    })
}

/// Takes one sample of each contender per round and returns the medians.
///
/// # Errors
/// Fails with the first sample that does.
pub fn interleave<E>(
    contenders: usize,
    rounds: u32,
    sample: impl FnMut(usize) -> Result<Timing, E>,
) -> Result<Vec<Timing>, E> {
    let samples = samples(contenders, rounds, sample)?;
    Ok(samples.iter().map(|timings| summary(timings)).collect())
}

/// Takes one sample of each contender per round and returns them all, by contender.
///
/// # Errors
/// Fails with the first sample that does.
pub fn samples<E>(
    contenders: usize,
    rounds: u32,
    mut sample: impl FnMut(usize) -> Result<Timing, E>,
) -> Result<Vec<Vec<Timing>>, E> {
    let mut samples = vec![Vec::new(); contenders];
    for round in 0..rounds {
        for position in order(contenders, round) {
            samples[position].push(sample(position)?);
        }
    }
    Ok(samples)
}

/// The order of one round: there, then back.
fn order(contenders: usize, round: u32) -> Vec<usize> {
    let forward = 0..contenders;
    if round.is_multiple_of(2) {
        forward.collect()
    } else {
        forward.rev().collect()
    }
}

/// How many messages last about as long as a run should.
fn length(case: &Case, target: Duration, runtime: &Runtime) -> Result<u32, Unsound> {
    run(case, TRIAL, runtime)?;
    let trial = run(case, TRIAL, runtime)?.wall.as_nanos().max(1);
    let messages = u128::from(TRIAL) * target.as_nanos() / trial;
    let bounded = messages.clamp(u128::from(TRIAL), u128::from(LONGEST));
    Ok(u32::try_from(bounded).unwrap_or(LONGEST))
}

fn run(case: &Case, messages: u32, runtime: &Runtime) -> Result<Spent, Unsound> {
    let (verdict, spent) = time(|| case.checked(runtime, messages));
    verdict.map(|()| spent)
}

/// Time per message of a run of so many.
pub fn timing(spent: Spent, messages: u32) -> Timing {
    let per_message = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(messages);
    Timing {
        wall_ns: per_message(spent.wall),
        cpu_ns: spent.cpu.map(per_message),
    }
}

/// The medians of some samples.
pub fn summary(timings: &[Timing]) -> Timing {
    let wall = timings.iter().map(|timing| timing.wall_ns).collect();
    let cpu = timings.iter().filter_map(|timing| timing.cpu_ns).collect();
    Timing {
        wall_ns: median(wall).unwrap_or(f64::NAN),
        cpu_ns: median(cpu),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Job;
    use crate::cases;
    use crate::runtime::two_workers;

    #[test]
    fn every_second_round_goes_in_reverse_order() {
        assert_eq!(order(3, 0), [0, 1, 2]);
        assert_eq!(order(3, 1), [2, 1, 0]);
    }

    #[test]
    fn each_contender_gets_a_timing() {
        let plan = Plan {
            rounds: 1,
            run: Duration::from_millis(1),
        };
        let cases = cases::of(Job::Bare);
        let timings = compare(&cases, plan, &two_workers().unwrap()).unwrap();
        assert_eq!(timings.len(), cases.len());
        assert!(timings.iter().all(|timing| timing.wall_ns > 0.0));
    }
}
