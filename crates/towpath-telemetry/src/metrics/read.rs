//! Metrics are read from the status of a pipeline, never recorded.

mod collector;
mod own;
mod policies;

use towpath_core::{BatchStatus, Phase, QueueStatus, SourceStatus, StageStatus, Status};

use self::collector::{Collector, Labels};
pub(crate) use self::own::events;
pub use self::own::exported;
use super::{Family, catalog};

/// The metrics of pipelines: every metric of the [catalog] that they have figures for, in its
/// order.
pub fn families(statuses: &[Status]) -> Vec<Family> {
    let mut into = Collector::default();
    for status in statuses {
        let labels = Labels::default().with("pipeline", status.name.as_str());
        pipeline(status, &labels, &mut into);
        for source in &status.sources {
            let labels = labels.with("source", source.name.as_str());
            read_source(source, &labels, &mut into);
        }
        for stage in &status.stages {
            let labels = labels.with("stage", stage.name.as_str());
            let labels = labels.with("kind", stage.kind);
            let slowest = status.bottleneck.as_ref() == Some(&stage.name);
            into.is(&catalog::STAGE_BOTTLENECK, &labels, slowest);
            read_stage(stage, &labels, &mut into);
        }
    }
    into.families()
}

/// Puts figures from several places together: one family for each metric, in the order of the
/// catalog. No figure may come from two places.
pub fn join(families: impl IntoIterator<Item = Family>) -> Vec<Family> {
    let mut into = Collector::default();
    families.into_iter().for_each(|family| into.join(family));
    into.families()
}

fn pipeline(status: &Status, labels: &Labels, into: &mut Collector) {
    let counts = &status.counts;
    into.count(&catalog::PIPELINE_EMITTED, labels, counts.emitted);
    for (outcome, count) in [
        ("done", counts.done),
        ("retried", counts.retried),
        ("rejected", counts.rejected),
        ("dropped", counts.dropped),
    ] {
        let labels = labels.with("outcome", outcome);
        into.count(&catalog::PIPELINE_OUTCOMES, &labels, count);
    }
    for (reason, count) in &status.dropped {
        let labels = labels.with("reason", reason);
        into.count(&catalog::PIPELINE_DROPPED, &labels, *count);
    }
    into.count(&catalog::PIPELINE_ABANDONED, labels, counts.abandoned);
    into.histogram(&catalog::PIPELINE_LATENCY, labels, &status.latency);
    into.count(&catalog::PIPELINE_IN_FLIGHT, labels, counts.in_flight);
    into.count(&catalog::PIPELINE_IN_FLIGHT_LIMIT, labels, status.bound);
    into.count(
        &catalog::PIPELINE_IN_FLIGHT_HIGH_WATER,
        labels,
        counts.high_water,
    );
    for (word, phase) in [
        ("running", Phase::Running),
        ("paused", Phase::Paused),
        ("draining", Phase::Draining),
        ("stopped", Phase::Stopped),
    ] {
        let labels = labels.with("phase", word);
        into.is(&catalog::PIPELINE_PHASE, &labels, status.phase == phase);
    }
    into.seconds(&catalog::PIPELINE_UPTIME, labels, status.elapsed);
}

fn read_source(source: &SourceStatus, labels: &Labels, into: &mut Collector) {
    into.count(&catalog::SOURCE_RECEIVED, labels, source.received);
    into.count(&catalog::SOURCE_REDELIVERED, labels, source.redelivered);
    let settled = &source.settled;
    for (result, count) in [
        ("confirmed", settled.confirmed),
        ("sent", settled.sent),
        ("stale", settled.stale),
        ("failed", settled.failed),
    ] {
        let labels = labels.with("result", result);
        into.count(&catalog::SOURCE_SETTLED, &labels, count);
    }
    into.count(&catalog::SOURCE_FAILURES, labels, source.failures);
    into.is(&catalog::SOURCE_UP, labels, source.error.is_none());
    into.count(&catalog::SOURCE_RESTARTS, labels, source.restarts);
    if let Some(lag) = source.lag {
        into.count(&catalog::SOURCE_LAG, labels, lag);
    }
}

fn read_stage(stage: &StageStatus, labels: &Labels, into: &mut Collector) {
    let counts = &stage.counts;
    into.count(&catalog::STAGE_RECEIVED, labels, counts.received);
    into.count(&catalog::STAGE_ADDED, labels, counts.added);
    into.count(&catalog::STAGE_SENT, labels, counts.sent);
    into.count(&catalog::STAGE_FAILED, labels, counts.failed);
    into.count(&catalog::STAGE_DROPPED, labels, counts.dropped);
    into.count(&catalog::STAGE_GIVEN_BACK, labels, counts.given_back);
    into.count(&catalog::STAGE_PANICKED, labels, counts.panicked);
    into.count(&catalog::STAGE_RESTARTS, labels, counts.restarts);
    into.count(&catalog::STAGE_LOST_COPIES, labels, counts.lost_copies);
    into.size(&catalog::STAGE_WORKERS, labels, stage.workers);
    into.size(&catalog::STAGE_CONCURRENCY, labels, stage.concurrency);
    into.count(&catalog::STAGE_IN_FLIGHT, labels, stage.in_flight);
    times(stage, labels, into);
    if let Some(queue) = &stage.queue {
        read_queue(queue, labels, into);
    }
    if let Some(batches) = &stage.batches {
        read_batches(batches, labels, into);
    }
    if let Some(reach) = &stage.reach {
        into.count(&catalog::SINK_FAILURES, labels, reach.failures);
        into.is(&catalog::SINK_UP, labels, reach.error.is_none());
    }
    policies::read(&stage.policies, labels, into);
}

/// What nobody times is left out: a duration of nothing would look like a figure.
fn times(stage: &StageStatus, labels: &Labels, into: &mut Collector) {
    let timed = stage.utilisation.is_some();
    if timed || stage.duration.count > 0 {
        into.histogram(&catalog::STAGE_DURATION, labels, &stage.duration);
        into.seconds(&catalog::STAGE_BUSY, labels, stage.busy);
    }
    if timed && stage.queue.is_some() || stage.queue_time.count > 0 {
        into.histogram(&catalog::STAGE_QUEUE_TIME, labels, &stage.queue_time);
    }
    if let Some(part) = stage.utilisation {
        into.number(&catalog::STAGE_UTILIZATION, labels, part);
    }
}

fn read_queue(queue: &QueueStatus, labels: &Labels, into: &mut Collector) {
    into.count(&catalog::QUEUE_DEPTH, labels, queue.depth);
    into.count(&catalog::QUEUE_CAPACITY, labels, queue.capacity);
    into.count(&catalog::QUEUE_DEMAND, labels, queue.demand);
}

fn read_batches(batches: &BatchStatus, labels: &Labels, into: &mut Collector) {
    for (trigger, count) in &batches.closed {
        let labels = labels.with("trigger", &collector::word(trigger));
        into.count(&catalog::BATCH_CLOSED, &labels, *count);
    }
    into.histogram(&catalog::BATCH_SIZE, labels, &batches.size);
    if batches.weight.count > 0 {
        into.histogram(&catalog::BATCH_WEIGHT, labels, &batches.weight);
    }
    into.histogram(&catalog::BATCH_AGE, labels, &batches.age);
}

#[cfg(test)]
pub(crate) use tests::full_status;

#[cfg(test)]
mod tests;
