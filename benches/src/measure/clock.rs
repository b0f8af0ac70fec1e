//! Wall time and CPU time of a piece of work.

use std::time::Duration;

use tokio::time::Instant;

/// How long something took.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// On the wall.
    pub wall: Duration,
    /// On all cores together; `None` where the system has no such clock.
    pub cpu: Option<Duration>,
}

/// Runs `work` and returns what it returned and how long it took.
pub fn time<T>(work: impl FnOnce() -> T) -> (T, Spent) {
    let (cpu, wall) = (cpu_now(), Instant::now());
    let result = work();
    let wall = wall.elapsed();
    let cpu = cpu_now()
        .zip(cpu)
        .map(|(after, before)| after.saturating_sub(before));
    (result, Spent { wall, cpu })
}

#[cfg(unix)]
fn cpu_now() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
}

#[cfg(not(unix))]
fn cpu_now() -> Option<Duration> {
    None
}
