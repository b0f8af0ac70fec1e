//! What a pipeline says of itself: durations, queues, batches, sources, the bottleneck.

mod batches;
mod bottlenecks;
mod live;
mod looking;
mod queues;
mod sources;
mod timing;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use towpath::{
    Report, Status,
    core::{Attached, Distribution, Inspect, StageName, StageStatus, Telemetry, Timing},
};

const TIMINGS: [Timing; 2] = [Timing::Chunks, Timing::Messages];

/// Times calls, and remembers the pipeline that it is told of.
#[derive(Clone, Default)]
struct Watching {
    timing: Timing,
    pipeline: Arc<OnceLock<Arc<dyn Inspect>>>,
}

impl Watching {
    fn of(timing: Timing) -> Self {
        Self {
            timing,
            ..Self::default()
        }
    }

    fn pipeline(&self) -> Arc<dyn Inspect> {
        self.pipeline.get().expect("it has begun").clone()
    }
}

impl Telemetry for Watching {
    fn attach(&self, _: &StageName) -> Attached {
        Attached::default().timing(self.timing)
    }

    fn watch(&self, pipeline: Arc<dyn Inspect>) {
        assert!(self.pipeline.set(pipeline).is_ok(), "one pipeline each");
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn stage<'a>(status: &'a Status, name: &str) -> &'a StageStatus {
    named(&status.stages, name)
}

fn reported<'a>(report: &'a Report, name: &str) -> &'a StageStatus {
    named(&report.stages, name)
}

fn named<'a>(stages: &'a [StageStatus], name: &str) -> &'a StageStatus {
    let found = stages.iter().find(|stage| stage.name.as_str() == name);
    found.unwrap_or_else(|| panic!("no stage {name}"))
}

/// The distribution of these durations, made one by one.
fn distribution(durations: impl IntoIterator<Item = Duration>) -> Distribution {
    let histogram = towpath::core::Histogram::default();
    durations
        .into_iter()
        .for_each(|took| histogram.add(took, 1));
    histogram.distribution()
}
