//! T7: what it costs to wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::future::try_join_all;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep},
};
use towpath::Pipeline;

use super::{PATIENCE, Snoozed, join};
use crate::hold::wait_until;

/// How long each call waits.
const CALL: Duration = Duration::from_secs(3);

/// A call of 3 s that does nothing. Cloning gives another handle.
#[derive(Clone, Debug, Default)]
pub struct IdleCall(Arc<Begun>);

#[derive(Debug, Default)]
struct Begun {
    calls: AtomicUsize,
    changed: Notify,
}

/// What waiting has cost.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct IdleCost {
    /// Threads that were added; 0 where the system does not tell.
    pub threads: usize,
    /// The part of a core that was busy.
    pub cores: f64,
    /// How often a thread of the runtime was woken, for each call.
    pub wakes_per_call: f64,
}

/// Measures what the process costs from here on.
#[derive(Debug)]
pub struct IdleMeter {
    begun: Instant,
    cpu: Duration,
    threads: usize,
    parks: u64,
}

impl IdleCall {
    /// Waits for 3 s.
    pub fn call(&self) -> impl Future<Output = ()> + Send + use<> {
        let begun = self.0.clone();
        async move {
            begun.calls.fetch_add(1, SeqCst);
            begun.changed.notify_waiters();
            sleep(CALL).await;
        }
    }

    async fn begun(&self, calls: usize) {
        wait_until(&self.0.changed, || self.0.calls.load(SeqCst) >= calls).await;
    }
}

impl IdleCost {
    /// No thread added, at most 1 % of a core, at most 20 wake-ups per call.
    pub fn is_small(&self) -> bool {
        self.threads == 0 && self.cores <= 0.01 && self.wakes_per_call <= 20.0
    }
}

impl IdleMeter {
    /// Begins to measure.
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
            cpu: process_cpu(),
            threads: threads(),
            parks: parks(),
        }
    }

    /// What the process has cost since, for so many calls.
    pub fn stop(self, calls: u32) -> IdleCost {
        let busy = process_cpu().saturating_sub(self.cpu);
        let wakes = u32::try_from(parks() - self.parks).unwrap_or(u32::MAX);
        IdleCost {
            threads: threads().saturating_sub(self.threads),
            cores: busy.as_secs_f64() / self.begun.elapsed().as_secs_f64(),
            wakes_per_call: f64::from(wakes) / f64::from(calls),
        }
    }
}

/// T7: runs `pipelines` with one call of 3 s each, and measures what the process costs
/// while they wait and end. Wants real time, and a process of its own.
///
/// # Errors
/// Fails when a thread is added, more than 1 % of a core is busy, or a call costs more than
/// 20 wake-ups.
pub async fn idle_cost(
    pipelines: u32,
    build: impl Fn(IdleCall) -> Pipeline,
) -> Result<IdleCost, Snoozed> {
    let call = IdleCall::default();
    let starting = (0..pipelines).map(|_| build(call.clone()).start());
    let running = try_join_all(starting).await?;
    call.begun(running.len()).await;
    let meter = IdleMeter::start();
    try_join_all(running.into_iter().map(|r| join(r, PATIENCE))).await?;
    let cost = meter.stop(pipelines);
    if cost.is_small() {
        return Ok(cost);
    }
    Err(Snoozed::Costly(cost))
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (secs, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(secs.unwrap_or(0), nanos.unwrap_or(0))
}

/// The threads of this process, where the system tells.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// How often the threads of the runtime went to sleep, each after a wake-up.
fn parks() -> u64 {
    let metrics = Handle::current().metrics();
    let workers = 0..metrics.num_workers();
    workers
        .map(|worker| metrics.worker_park_count(worker))
        .sum()
}
