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

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    wall: Instant,
    cpu: Option<Duration>,
}

/// Runs `work` and returns what it returned and how long it took.
pub fn time<T>(work: impl FnOnce() -> T) -> (T, Spent) {
    let begun = Stamp::now();
    let result = work();
    (result, Stamp::now().since(begun))
}

// === impl Stamp ===

impl Stamp {
    /// This moment.
    pub fn now() -> Self {
        let (cpu, wall) = (cpu_now(), Instant::now());
        Self { wall, cpu }
    }

    /// What was spent since an earlier one.
    pub fn since(self, earlier: Self) -> Spent {
        let cpu = self.cpu.zip(earlier.cpu);
        Spent {
            wall: self.wall.saturating_duration_since(earlier.wall),
            cpu: cpu.map(|(after, before)| after.saturating_sub(before)),
        }
    }
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
