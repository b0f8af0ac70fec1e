//! What the metrics have to say of a report, written down a second time.

mod policies;

use std::time::Duration;

use towpath::{
    Report,
    core::{BatchStatus, Distribution, SourceStatus, StageStatus},
};

use super::page::Series;

/// A series, and the figure that it has to show.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) series: Series,
    pub(super) figure: Figure<'a>,
}

#[derive(Debug)]
pub(super) enum Figure<'a> {
    Count(u64),
    Number(f64),
    Histogram(Unit, &'a Distribution),
}

/// What the figures of a histogram are in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// Nanoseconds, shown as seconds.
    Seconds,
    /// Shown as they are.
    One,
}

/// The labels of what is claimed.
type Labels<'a> = [(&'a str, &'a str)];

/// Everything that is claimed.
#[derive(Debug, Default)]
struct Claims<'a>(Vec<Claim<'a>>);

/// All that the metrics have to say.
pub(super) fn of(report: &Report) -> Vec<Claim<'_>> {
    let mut claims = Claims::default();
    let pipeline = report.name.as_str();
    claims.pipeline(report, pipeline);
    for source in &report.sources {
        claims.source(source, pipeline);
    }
    for stage in &report.stages {
        let (name, kind) = (stage.name.as_str(), stage.kind);
        let labels = [("pipeline", pipeline), ("stage", name), ("kind", kind)];
        let is_slowest = report.bottleneck.as_ref() == Some(&stage.name);
        claims.count("towpath_stage_bottleneck", &labels, u64::from(is_slowest));
        claims.stage(stage, &labels);
        policies::claim(&stage.policies, &labels, &mut claims);
    }
    claims.0
}

// === impl Claims ===

impl<'a> Claims<'a> {
    fn pipeline(&mut self, report: &'a Report, pipeline: &str) {
        let (counts, labels) = (&report.counts, &[("pipeline", pipeline)]);
        for (name, count) in [
            ("emitted_total", counts.emitted),
            ("abandoned_total", counts.abandoned),
            // It has ended.
            ("in_flight", 0),
            ("in_flight_limit", report.bound),
            ("in_flight_high_water", counts.high_water),
        ] {
            self.count(&format!("towpath_pipeline_{name}"), labels, count);
        }
        let outcomes = [
            ("done", counts.done),
            ("retried", counts.retried),
            ("rejected", counts.rejected),
            ("dropped", counts.dropped),
        ];
        self.each(
            "towpath_pipeline_outcomes_total",
            labels,
            "outcome",
            outcomes,
        );
        for (reason, count) in &report.dropped {
            let reason = [(&*reason.to_string(), *count)];
            self.each("towpath_pipeline_dropped_total", labels, "reason", reason);
        }
        let phases = [
            ("running", 0),
            ("paused", 0),
            ("draining", 0),
            ("stopped", 1),
        ];
        self.each("towpath_pipeline_phase", labels, "phase", phases);
        self.time("towpath_pipeline_uptime_seconds", labels, report.elapsed());
        let latency = Figure::Histogram(Unit::Seconds, &report.latency);
        self.add("towpath_pipeline_latency_seconds", labels, latency);
    }

    fn source(&mut self, source: &SourceStatus, pipeline: &str) {
        let labels = &[("pipeline", pipeline), ("source", source.name.as_str())];
        for (name, count) in [
            ("received_total", source.received),
            ("redelivered_total", source.redelivered),
            ("failures_total", source.failures),
            ("up", u64::from(source.error.is_none())),
            ("restarts_total", source.restarts),
        ] {
            self.count(&format!("towpath_source_{name}"), labels, count);
        }
        let settled = [
            ("confirmed", source.settled.confirmed),
            ("sent", source.settled.sent),
            ("stale", source.settled.stale),
            ("failed", source.settled.failed),
        ];
        self.each("towpath_source_settled_total", labels, "result", settled);
        if let Some(lag) = source.lag {
            self.count("towpath_source_lag", labels, lag);
        }
    }

    fn stage(&mut self, stage: &'a StageStatus, labels: &Labels<'_>) {
        let counts = &stage.counts;
        for (name, count) in [
            ("received_total", counts.received),
            ("added_total", counts.added),
            ("sent_total", counts.sent),
            ("failed_total", counts.failed),
            ("dropped_total", counts.dropped),
            ("given_back_total", counts.given_back),
            ("panicked_total", counts.panicked),
            ("restarts_total", counts.restarts),
            ("lost_copies_total", counts.lost_copies),
            ("workers", stage.workers as u64),
            ("concurrency", stage.concurrency as u64),
            ("in_flight", stage.in_flight),
        ] {
            self.count(&format!("towpath_stage_{name}"), labels, count);
        }
        self.times(stage, labels);
        if let Some(queue) = &stage.queue {
            self.count("towpath_queue_depth", labels, queue.depth);
            self.count("towpath_queue_capacity", labels, queue.capacity);
            self.count("towpath_queue_demand", labels, queue.demand);
        }
        if let Some(reach) = &stage.reach {
            let up = u64::from(reach.error.is_none());
            self.count("towpath_sink_up", labels, up);
            self.count("towpath_sink_failures_total", labels, reach.failures);
        }
        if let Some(batches) = &stage.batches {
            self.batches(batches, labels);
        }
    }

    fn times(&mut self, stage: &'a StageStatus, labels: &Labels<'_>) {
        let took = Figure::Histogram(Unit::Seconds, &stage.duration);
        self.add("towpath_stage_duration_seconds", labels, took);
        let waited = Figure::Histogram(Unit::Seconds, &stage.queue_time);
        self.add("towpath_stage_queue_time_seconds", labels, waited);
        if let Some(part) = stage.utilisation {
            let part = Figure::Number(part);
            self.add("towpath_stage_utilization_ratio", labels, part);
        }
        if stage.utilisation.is_some() || stage.duration.count > 0 {
            self.time("towpath_stage_busy_seconds_total", labels, stage.busy);
        }
    }

    fn batches(&mut self, batches: &'a BatchStatus, labels: &Labels<'_>) {
        let closed = batches.closed.iter();
        let closed = closed.map(|(trigger, count)| (trigger.word(), *count));
        self.each("towpath_batch_closed_total", labels, "trigger", closed);
        for (name, figures, unit) in [
            ("towpath_batch_size", &batches.size, Unit::One),
            ("towpath_batch_weight", &batches.weight, Unit::One),
            ("towpath_batch_age_seconds", &batches.age, Unit::Seconds),
        ] {
            self.add(name, labels, Figure::Histogram(unit, figures));
        }
    }

    fn each<'w>(
        &mut self,
        name: &str,
        labels: &Labels<'_>,
        label: &str,
        counts: impl IntoIterator<Item = (&'w str, u64)>,
    ) {
        for (word, count) in counts {
            let labels = [labels, &[(label, word)]].concat();
            self.count(name, &labels, count);
        }
    }

    fn count(&mut self, name: &str, labels: &Labels<'_>, count: u64) {
        self.add(name, labels, Figure::Count(count));
    }

    fn time(&mut self, name: &str, labels: &Labels<'_>, time: Duration) {
        self.add(name, labels, Figure::Number(time.as_secs_f64()));
    }

    fn add(&mut self, name: &str, labels: &Labels<'_>, figure: Figure<'a>) {
        let labels = labels.iter();
        let labels = labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let series = Series {
            name: name.to_owned(),
            labels: labels.collect(),
        };
        self.0.push(Claim { series, figure });
    }
}

// === impl Unit ===

impl Unit {
    /// A figure as it is shown.
    #[expect(
        clippy::cast_precision_loss,
        reason = "what is compared with it is no more precise"
    )]
    pub(super) fn of(self, figure: u64) -> f64 {
        match self {
            Self::Seconds => figure as f64 / 1e9,
            Self::One => figure as f64,
        }
    }
}
