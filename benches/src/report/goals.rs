//! How much faster than its peers Towpath means to be, wall time in the same run.

use crate::case::Job;

/// Least time of a peer, as a multiple of Towpath's.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// The job.
    pub job: Job,
    /// The peer.
    pub peer: &'static str,
    /// Its time divided by ours, at least.
    pub ratio: f64,
}

const GOALS: [Goal; 10] = [
    goal(Job::Batched, "eager-loop", 0.5),
    goal(Job::Batched, "datum-core", 1.0),
    goal(Job::Batched, "buffer_unordered", 2.0),
    goal(Job::Batched, "mpsc-loops", 3.5),
    goal(Job::Batched, "async-channel", 4.0),
    goal(Job::Batched, "spawn", 12.0),
    goal(Job::Yielding, "eager-loop", 1.0 / 1.2),
    goal(Job::Yielding, "datum-core", 8.0),
    goal(Job::Decoded, "towpath-tuned", 0.9),
    goal(Job::Flights, "by-hand", 1.0),
];

const NS: [(Job, f64); 5] = [
    (Job::Bare, 35.0),
    (Job::Batched, 45.0),
    (Job::Yielding, 110.0),
    (Job::Single, 600.0),
    (Job::Policed, 100.0),
];

/// The ratio that is aimed at, if any.
pub fn ratio(job: Job, peer: &str) -> Option<f64> {
    let goal = GOALS
        .iter()
        .find(|goal| goal.job == job && goal.peer == peer);
    goal.map(|goal| goal.ratio)
}

/// Nanoseconds per message that Towpath means to stay within, if any.
pub fn nanoseconds(job: Job) -> Option<f64> {
    NS.iter().find(|(of, _)| *of == job).map(|(_, most)| *most)
}

const fn goal(job: Job, peer: &'static str, ratio: f64) -> Goal {
    Goal { job, peer, ratio }
}
