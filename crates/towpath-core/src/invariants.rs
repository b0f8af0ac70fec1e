//! The invariants as plain functions, shared by tests, models and debug assertions.

use crate::{BatchStatus, Counts, Distribution, SourceStatus, StageName, StageStatus};

/// A law of the engine that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A message was lost, or counted twice.
    #[error("not conserved: {counts:?}")]
    Conservation {
        /// The accounts.
        counts: Counts,
    },
    /// Something was left without an outcome at the end.
    #[error("{count} messages are left without an outcome")]
    Leftover {
        /// How many.
        count: u64,
    },
    /// More was in flight than the formula allows.
    #[error("{high_water} messages were in flight, the bound is {bound}")]
    Bound {
        /// The most that was in flight.
        high_water: u64,
        /// The most that may be.
        bound: u64,
    },
    /// Figures that do not agree.
    #[error("{of}: {law}, but it is {found} and not {expected}")]
    Figures {
        /// The stage, source or account whose figures they are.
        of: StageName,
        /// What should hold.
        law: &'static str,
        /// The figure.
        found: u64,
        /// What it should be, or the most that it may be.
        expected: u64,
    },
}

/// The kinds of stages that the engine counts for; others count as they like.
const COUNTED: [&str; 5] = ["processor", "batcher", "sink", "dead letters", "tee"];

/// *Emitted = done + retried + rejected + dropped + in flight*, at every moment.
///
/// # Errors
/// Names the accounts that do not add up.
pub fn conserved(counts: &Counts) -> Result<(), Violation> {
    let settled = counts.done + counts.retried + counts.rejected + counts.dropped;
    if settled + counts.in_flight == counts.emitted && counts.abandoned <= counts.retried {
        return Ok(());
    }
    Err(Violation::Conservation { counts: *counts })
}

/// Nothing is without an outcome once a pipeline has ended.
///
/// # Errors
/// Says how many are.
pub fn settled(counts: &Counts) -> Result<(), Violation> {
    conserved(counts)?;
    match counts.in_flight {
        0 => Ok(()),
        count => Err(Violation::Leftover { count }),
    }
}

/// Never more in flight than the bound of the topology.
///
/// # Errors
/// Names the high-water mark and the bound.
pub fn bounded(counts: &Counts, bound: u64) -> Result<(), Violation> {
    let high_water = counts.high_water;
    if high_water <= bound {
        return Ok(());
    }
    Err(Violation::Bound { high_water, bound })
}

/// The figures of a pipeline that has ended agree: its accounts, its sources, its stages.
///
/// # Errors
/// Names the first figure that disagrees.
pub fn figures_agree(
    counts: &Counts,
    latency: &Distribution,
    sources: &[SourceStatus],
    stages: &[StageStatus],
) -> Result<(), Violation> {
    let pipeline = StageName::from("the pipeline");
    let law = "every message that is done has a latency";
    equal(&pipeline, law, latency.count, counts.done)?;
    let received = sources.iter().map(|source| source.received).sum();
    let law = "what the sources received was emitted";
    equal(&pipeline, law, received, counts.emitted)?;
    sources.iter().try_for_each(source_agrees)?;
    stages.iter().try_for_each(stage_agrees)
}

/// A source is told no more outcomes than it has messages. One that is not told, or not to
/// the end, is told fewer.
fn source_agrees(source: &SourceStatus) -> Result<(), Violation> {
    let law = "a source is told one outcome for each message at most";
    at_most(&source.name, law, source.settled.all(), source.received)?;
    let law = "what is redelivered was received";
    at_most(&source.name, law, source.redelivered, source.received)
}

/// A source that is told anything is told every outcome, once a run has ended in order.
///
/// # Errors
/// Names the source that was not, and how many outcomes it was told.
pub fn told_all(source: &SourceStatus) -> Result<(), Violation> {
    let told = source.settled.all();
    let law = "a source that is told outcomes is told all of them";
    check(
        told == 0 || told == source.received,
        &source.name,
        law,
        told,
        source.received,
    )
}

/// Whatever a stage took in has left it in one of the ways it counts, and its link is empty.
///
/// This cannot hold for a stage of the user's own: it counts by itself, or not at all.
fn stage_agrees(stage: &StageStatus) -> Result<(), Violation> {
    let (name, counts) = (&stage.name, &stage.counts);
    if let Some(queue) = &stage.queue {
        equal(name, "nothing waits at the end", queue.depth, 0)?;
        equal(name, "nothing is asked for at the end", queue.demand, 0)?;
    }
    if !COUNTED.contains(&stage.kind) {
        return Ok(());
    }
    let law =
        "what was taken in, and what it was split into, was sent, failed, dropped or given back";
    let taken = counts.received + counts.added;
    equal(name, law, counts.left(), taken)?;
    let law = "nothing is in flight at the end";
    equal(name, law, stage.in_flight, 0)?;
    let law = "a panic is a failure";
    if stage.kind != "dead letters" {
        at_most(
            name,
            law,
            counts.panicked,
            counts.failed + counts.given_back,
        )?;
    }
    let law = "a call is for one message at least";
    at_most(name, law, stage.duration.count, counts.received)?;
    stage
        .batches
        .iter()
        .try_for_each(|batches| batches_agree(stage, batches))
}

fn batches_agree(stage: &StageStatus, batches: &BatchStatus) -> Result<(), Violation> {
    let (name, closed) = (&stage.name, batches.closed.values().sum());
    let law = "what is in batches was sent";
    equal(name, law, batches.size.sum, stage.counts.sent)?;
    equal(name, "every batch has a size", batches.size.count, closed)?;
    equal(name, "every batch has an age", batches.age.count, closed)?;
    at_most(name, "a batch has one weight", batches.weight.count, closed)
}

fn equal(of: &StageName, law: &'static str, found: u64, expected: u64) -> Result<(), Violation> {
    check(found == expected, of, law, found, expected)
}

fn at_most(of: &StageName, law: &'static str, found: u64, expected: u64) -> Result<(), Violation> {
    check(found <= expected, of, law, found, expected)
}

fn check(
    holds: bool,
    of: &StageName,
    law: &'static str,
    found: u64,
    expected: u64,
) -> Result<(), Violation> {
    if holds {
        return Ok(());
    }
    Err(Violation::Figures {
        of: of.clone(),
        law,
        found,
        expected,
    })
}
