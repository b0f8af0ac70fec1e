//! One slow worker of four: how long the messages that came with its own wait for it.
//!
//! Each burst fills a chunk for every worker. A worker that keeps its chunk to itself makes
//! 64 messages wait for each other, 128 ms; one that gives the rest back makes none wait.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::latency::{Contender, Field, Pace, Probe, Samples, Setup, Work};
use crate::runtime::on_worker;

const SERVICE_TIME: Duration = Duration::from_millis(2);
const PACE: Pace = Pace {
    burst: 256,
    every: Duration::from_millis(5),
    bursts: 100,
};

pub(super) const PROBE: Probe = Probe {
    name: "slow-worker",
    title: "one of four workers takes 2 ms a message: the slowest message of the others",
    ask,
    goal: ("service_times", 3.0),
};

fn ask(runtime: &Runtime, contender: &Contender) -> io::Result<Vec<Field>> {
    let samples = Arc::new(Samples::with_capacity(PACE.messages()));
    let setup = Setup {
        work: Work::OneSlowWorker(SERVICE_TIME),
        max_wait: None,
    };
    let (feed, source) = PACE.start()?;
    on_worker(
        runtime,
        (contender.pipeline)(feed, Arc::clone(&samples), setup),
    );
    source.join().expect("the source does not panic");
    let others = samples.slowest_of_the_others();
    Ok(vec![
        ("service_times", others / (SERVICE_TIME.as_secs_f64() * 1e6)),
        ("others_max_us", others),
        ("all_max_us", samples.slowest()),
    ])
}
