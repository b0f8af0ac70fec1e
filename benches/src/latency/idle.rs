//! Waiting should cost nothing: a hundred pipelines, each with one call under way.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_channel::bounded;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::latency::{Contender, Field, Pipeline, Probe, Samples, Setup, Stamped, Work};
use crate::measure::approximate;
use crate::measure::clock::time;
use crate::runtime::on_worker;

const PIPELINES: u32 = 100;
const CALL: Duration = Duration::from_secs(3);

pub(super) const PROBE: Probe = Probe {
    name: "idle",
    title: "100 pipelines wait for one call of 3 s each",
    ask,
    goal: ("cpu_percent", 1.0),
};

#[expect(clippy::unnecessary_wraps, reason = "the signature of every probe")]
fn ask(runtime: &Runtime, contender: &Contender) -> io::Result<Vec<Field>> {
    let before = Threads::now();
    let samples = Arc::new(Samples::with_capacity(PIPELINES));
    let ((), spent) = time(|| on_worker(runtime, calls(contender.pipeline, Arc::clone(&samples))));
    let after = Threads::now();
    let cpu = spent.cpu.unwrap_or_default().as_secs_f64();
    Ok(vec![
        ("cpu_percent", 100.0 * cpu / spent.wall.as_secs_f64()),
        (
            "switches_per_call",
            after.switches_since(&before) / f64::from(PIPELINES),
        ),
        ("threads_added", after.count_since(&before)),
    ])
}

async fn calls(pipeline: Pipeline, samples: Arc<Samples>) {
    let setup = Setup {
        work: Work::Call(CALL),
        max_wait: None,
    };
    let mut pipelines = JoinSet::new();
    for id in 0..PIPELINES {
        let (sender, feed) = bounded(1);
        let message = Stamped {
            sent: Instant::now(),
            id,
        };
        sender.try_send(message).expect("the queue is empty");
        pipelines.spawn(pipeline(feed, Arc::clone(&samples), setup));
    }
    pipelines.join_all().await;
}

/// The threads of this process and how often they were switched; zero without `/proc`.
struct Threads {
    count: u64,
    switches: u64,
}

// === impl Threads ===

impl Threads {
    fn now() -> Self {
        let tasks = fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .flatten();
        let statuses = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
        statuses.fold(
            Self {
                count: 0,
                switches: 0,
            },
            |sum, status| Self {
                count: sum.count + 1,
                switches: sum.switches + switches(&status),
            },
        )
    }

    fn switches_since(&self, before: &Self) -> f64 {
        approximate(self.switches.saturating_sub(before.switches))
    }

    fn count_since(&self, before: &Self) -> f64 {
        approximate(self.count.saturating_sub(before.count))
    }
}

fn switches(status: &str) -> u64 {
    let lines = status
        .lines()
        .filter_map(|line| line.split_once("ctxt_switches:"));
    lines
        .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_switches_are_added() {
        let status = "Threads:\t3\nvoluntary_ctxt_switches:\t40\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(switches(status), 42);
    }
}
