//! A pipeline from a feed into the sink under test.

use std::time::Duration;

use towpath::{
    BuildError, Flow, Origin, PipelineHandle, Report, Running, SinkStage,
    core::{SinkPromise, StageStatus},
};

use super::{
    Order, Parcel, SinkRig,
    feed::{Feed, Gate},
    log::few,
    rig::promise_of,
    stand::{NOTICES, PATIENCE, SLACK, Stand, chain},
    suite::Verdict,
};
use crate::{Traces, check};

/// How many messages a write holds at most.
pub(super) const BATCH: usize = 10;

/// A pipeline that writes into the sink under test.
pub(super) struct Writing {
    running: Running,
    gate: Gate,
}

/// What is written and how.
pub(super) struct Plan<T> {
    pub(super) items: Vec<(T, Origin)>,
    pub(super) workers: usize,
    /// How many items may go at once; the others wait for the gate.
    pub(super) open: usize,
    pub(super) traces: Option<Traces>,
}

// === impl Plan ===

impl<T> Plan<T> {
    /// One worker, and everything at once.
    pub(super) fn of(items: Vec<(T, Origin)>) -> Self {
        Self {
            items,
            workers: 1,
            open: usize::MAX,
            traces: None,
        }
    }

    /// Only the first items, until the gate is opened.
    pub(super) fn up_to(mut self, open: usize) -> Self {
        self.open = open;
        self
    }
}

/// Where the message `n` of a rule comes from: the same at every attempt.
pub(super) fn origin(place: &str, n: usize) -> Origin {
    let origin = Origin::default().at(n as u64).attempt(1);
    origin.identified(format!("{place}-{n}"))
}

/// Numbered parcels as items of the sink.
pub(super) fn numbered<R: SinkRig>(
    place: &str,
    numbers: std::ops::Range<usize>,
) -> Vec<(R::Item, Origin)> {
    let item = |n| (R::item(Parcel::numbered(n)), origin(place, n));
    numbers.map(item).collect()
}

/// Whether a message that comes again is stored once.
pub(super) fn is_idempotent<R: SinkRig>(sink: &R::Sink) -> bool {
    promise_of::<R>(sink) == SinkPromise::Idempotent
}

impl<R: SinkRig> Stand<R> {
    /// Starts a pipeline that writes.
    pub(super) async fn writing(&self, place: &str, plan: Plan<R::Item>) -> Verdict<Writing> {
        let started = self.try_writing(place, plan).await?;
        started.map_err(|error| {
            let error = chain(&error);
            self.broken(format!("the pipeline does not start: {error}"))
        })
    }

    /// As [`writing`](Self::writing), where it may be that the sink does not open.
    pub(super) async fn try_writing(
        &self,
        place: &str,
        plan: Plan<R::Item>,
    ) -> Verdict<Result<Writing, BuildError>> {
        let (source, gate) = Feed::source(plan.items, plan.open);
        let sink = SinkStage::of::<R::Item>("sink", self.rig.sink(place)).workers(plan.workers);
        let mut pipeline = Flow::from(source).sink(sink).max_demand(BATCH);
        if let Some(traces) = plan.traces {
            pipeline = pipeline.telemetry(traces);
        }
        let started = self.within(PATIENCE, "the start of a pipeline", pipeline.start());
        let started = started.await?;
        Ok(started.map(|running| Writing { running, gate }))
    }

    /// Waits until everything has had its outcome.
    pub(super) async fn written(&self, writing: Writing) -> Verdict<Report> {
        writing.gate.send_replace(usize::MAX);
        self.ended_writing(writing, PATIENCE * 2).await
    }

    /// As [`written`](Self::written), and everything is done.
    pub(super) async fn all_written(&self, writing: Writing, count: usize) -> Verdict<Report> {
        let report = self.written(writing).await?;
        let counts = report.counts;
        self.ensure(counts.done == count as u64 && counts.rejected == 0, || {
            let causes = &report.causes;
            format!("{count} messages were to be done: {counts:?} {causes:?}")
        })?;
        Ok(report)
    }

    /// Stops by a deadline and checks the books.
    pub(super) async fn stopped_writing(
        &self,
        writing: Writing,
        within: Duration,
    ) -> Verdict<Report> {
        writing.handle().drain_within(within);
        self.ended_writing(writing, within + SLACK).await
    }

    async fn ended_writing(&self, writing: Writing, within: Duration) -> Verdict<Report> {
        let Writing { running, gate } = writing;
        let handle = running.handle().clone();
        let ended = self.within(within, "a pipeline that writes", running.join());
        let report = ended.await.map_err(|broken| {
            let counts = handle.status().counts;
            let error = sink_of(&handle).reach.and_then(|reach| reach.error);
            self.broken(format!(
                "{}: {counts:?}, the sink says {error:?}",
                broken.what
            ))
        })?;
        drop(gate);
        let report = report.map_err(|error| self.broken(format!("no report: {error}")))?;
        check(&report);
        Ok(report)
    }

    /// Waits until so many messages are done.
    pub(super) async fn writes(&self, writing: &Writing, count: usize) -> Verdict {
        let done = || writing.handle().status().counts.done >= count as u64;
        let reached = self
            .until(PATIENCE, async || Ok(done().then_some(())))
            .await?;
        self.ensure(reached.is_some(), || {
            let counts = writing.handle().status().counts;
            format!("{count} messages are not done within {PATIENCE:?}: {counts:?}")
        })
    }

    /// Waits until the sink says that its server is gone; what it says.
    pub(super) async fn is_out_of_reach(&self, writing: &Writing) -> Verdict<String> {
        let error = self.until(NOTICES, async || Ok(writing.error())).await?;
        let error = error.ok_or_else(|| {
            let what = format!("the sink has not said within {NOTICES:?} that it is lost");
            self.broken(what)
        })?;
        self.is_fit_to_be_shown(&error)?;
        Ok(error)
    }

    /// Waits until all these are stored as they were; once each, where that is said.
    pub(super) async fn is_stored(&self, place: &str, expected: &[Parcel], once: bool) -> Verdict {
        let mut last = Vec::new();
        let look = async || {
            let Ok(stored) = self.rig.stored(place).await else {
                return Ok(None);
            };
            let all = expected.iter().all(|parcel| is_among(&stored, parcel));
            last = stored;
            Ok(all.then_some(()))
        };
        let found = self.until(PATIENCE, look).await?;
        self.ensure(found.is_some(), || {
            let missing = expected.iter().filter(|parcel| !is_among(&last, parcel));
            let missing: Vec<_> = missing.take(5).collect();
            let stored = last.len();
            format!("{missing:?} and maybe more are not among the {stored} that are stored")
        })?;
        self.ensure(!once || last.len() == expected.len(), || {
            let (stored, expected) = (last.len(), expected.len());
            format!("{stored} messages are stored, and {expected} were written")
        })
    }

    /// What is stored is in the order that is promised.
    pub(super) async fn is_in_order(&self, place: &str, order: Order) -> Verdict {
        let stored = self.rig.stored(place).await;
        let stored = stored.map_err(|error| self.fault("read what is stored", &error))?;
        let lanes = |parcel: &Parcel| match order {
            Order::Total => String::new(),
            _ => parcel.key.clone(),
        };
        let mut last = std::collections::BTreeMap::new();
        let mut wrong = Vec::new();
        for parcel in stored.iter().filter(|_| order != Order::Any) {
            let number = parcel.number();
            let before = last.insert(lanes(parcel), number);
            if before.is_some_and(|before| before > number) {
                wrong.extend(number);
            }
        }
        self.ensure(wrong.is_empty(), || {
            format!("{} messages are stored behind later ones", few(&wrong))
        })
    }
}

fn is_among(stored: &[Parcel], parcel: &Parcel) -> bool {
    let same = |other: &Parcel| other.key == parcel.key && other.payload == parcel.payload;
    stored.iter().any(same)
}

fn sink_of(handle: &PipelineHandle) -> StageStatus {
    let mut status = handle.status();
    let sink = status
        .stages
        .iter()
        .position(|stage| stage.name.as_str() == "sink");
    status.stages.swap_remove(sink.unwrap_or(0))
}

// === impl Writing ===

impl Writing {
    pub(super) fn handle(&self) -> &PipelineHandle {
        self.running.handle()
    }

    /// Lets all items go.
    pub(super) fn open(&self) {
        self.gate.send_replace(usize::MAX);
    }

    /// What the sink said last, while it cannot be reached.
    pub(super) fn error(&self) -> Option<String> {
        sink_of(self.handle()).reach?.error
    }

    /// How often the sink was out of reach.
    pub(super) fn failures(&self) -> u64 {
        sink_of(self.handle())
            .reach
            .map_or(0, |reach| reach.failures)
    }

    /// Ends the pipeline as a crash of its process would.
    pub(super) fn crash(self) {
        drop(self.running);
    }
}
