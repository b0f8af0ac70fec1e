//! Latency at a steady rate: batches close after a millisecond, source to settled.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::latency::{Contender, Field, Pace, Probe, Samples, Setup, Work};
use crate::runtime::on_worker;

const MAX_WAIT: Duration = Duration::from_millis(1);

/// p99 from source to settled, in microseconds.
const GOAL: Field = ("p99_us", 3000.0);

pub(super) const SLOW: Probe = Probe {
    name: "paced-1k",
    title: "1 000 messages a second, max_wait 1 ms, source to settled",
    ask: |runtime, contender| ask(runtime, contender, 1, Duration::from_millis(1)),
    goal: GOAL,
};

pub(super) const MEDIUM: Probe = Probe {
    name: "paced-5k",
    title: "5 000 messages a second, max_wait 1 ms, source to settled",
    ask: |runtime, contender| ask(runtime, contender, 1, Duration::from_micros(200)),
    goal: GOAL,
};

pub(super) const FAST: Probe = Probe {
    name: "paced-100k",
    title: "100 000 messages a second, max_wait 1 ms, source to settled",
    ask: |runtime, contender| ask(runtime, contender, 10, Duration::from_micros(100)),
    goal: GOAL,
};

fn ask(
    runtime: &Runtime,
    contender: &Contender,
    burst: u32,
    every: Duration,
) -> io::Result<Vec<Field>> {
    let bursts = u32::try_from(Duration::from_secs(2).as_nanos() / every.as_nanos());
    let pace = Pace {
        burst,
        every,
        bursts: bursts.unwrap_or(u32::MAX),
    };
    let samples = Arc::new(Samples::with_capacity(pace.messages()));
    let setup = Setup {
        work: Work::Ready,
        max_wait: Some(MAX_WAIT),
    };
    let (feed, source) = pace.start()?;
    on_worker(
        runtime,
        (contender.pipeline)(feed, Arc::clone(&samples), setup),
    );
    source.join().expect("the source does not panic");
    Ok(vec![
        ("p50_us", samples.within(500)),
        ("p99_us", samples.within(990)),
        ("max_us", samples.slowest()),
    ])
}
