//! How a run ended: counts that add up, stage by stage.

use std::{collections::BTreeMap, fmt, time::Duration};

use towpath_core::{
    Counts, Distribution, Phase, Reason, SourceStatus, StageName, StageStatus, Status,
};

/// How a pipeline ended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "how")]
#[non_exhaustive]
pub enum Ending {
    /// Every source has ended, and everything is settled.
    Finished,
    /// It was asked to stop, and everything it had taken is settled.
    Stopped,
    /// The deadline of a stop has passed; what was left is given back.
    DeadlineExceeded,
    /// It gave up.
    Failed {
        /// Why, with the chain of causes.
        error: Vec<String>,
    },
}

/// The final accounts of a run. Prints as a table and serialises.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The pipeline.
    pub name: StageName,
    /// How it ended.
    pub ending: Ending,
    /// Every delivery and its one outcome.
    pub counts: Counts,
    /// Messages that have not had their effect and will not come again by themselves.
    pub left: u64,
    /// The most messages that could be in flight.
    pub bound: u64,
    /// Dropped messages by reason.
    pub dropped: BTreeMap<Reason, u64>,
    /// The latest causes of rejections, each with its chain.
    pub causes: Vec<Vec<String>>,
    /// Where the first abandoned messages came from.
    pub abandoned: Vec<String>,
    /// From source to settled, of messages that are done.
    pub latency: Distribution,
    /// From start to end, in milliseconds.
    pub elapsed_ms: u64,
    /// Each source, and how it took its outcomes.
    pub sources: Vec<SourceStatus>,
    /// Each stage, in the order of the topology.
    pub stages: Vec<StageStatus>,
    /// The stage that held the others back at the end, where one did.
    pub bottleneck: Option<StageName>,
}

impl Report {
    /// 0 when everything has had its outcome and nothing is left; 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        let ended_well = matches!(self.ending, Ending::Finished | Ending::Stopped);
        let told = self.sources.iter().all(|s| s.settled.failed == 0);
        u8::from(!(ended_well && told && self.left == 0))
    }

    /// The time from start to end.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms)
    }

    /// The same figures as a status: what is seen of the pipeline from now on.
    pub fn status(&self) -> Status {
        let mut status = Status::new(self.name.clone(), Phase::Stopped);
        status.elapsed = self.elapsed();
        status.counts = self.counts;
        status.bound = self.bound;
        status.dropped.clone_from(&self.dropped);
        status.latency.clone_from(&self.latency);
        status.sources.clone_from(&self.sources);
        status.stages.clone_from(&self.stages);
        status.bottleneck.clone_from(&self.bottleneck);
        status
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (c, latency) = (&self.counts, self.latency.latency());
        writeln!(f, "{}: {} in {:?}", self.name, self.ending, self.elapsed())?;
        writeln!(
            f,
            "  taken {}  done {}  retried {}  rejected {}  dropped {}  left {}",
            c.emitted, c.done, c.retried, c.rejected, c.dropped, self.left
        )?;
        writeln!(
            f,
            "  in flight at most {} of {}  latency p50 {} us  p99 {} us",
            c.high_water, self.bound, latency.p50_us, latency.p99_us
        )?;
        for (reason, count) in &self.dropped {
            writeln!(f, "  dropped {count}: {reason}")?;
        }
        write_stages(f, &self.stages)
    }
}

fn write_stages(f: &mut fmt::Formatter<'_>, stages: &[StageStatus]) -> fmt::Result {
    let width = stages.iter().map(|s| s.name.as_str().len()).max();
    let width = width.unwrap_or(0).max("stage".len());
    writeln!(
        f,
        "  {:<width$}  {:>12}  {:>12}  {:>8}  {:>8}  {:>8}",
        "stage", "received", "sent", "failed", "panics", "restarts"
    )?;
    for stage in stages {
        let c = &stage.counts;
        writeln!(
            f,
            "  {:<width$}  {:>12}  {:>12}  {:>8}  {:>8}  {:>8}",
            stage.name, c.received, c.sent, c.failed, c.panicked, c.restarts
        )?;
    }
    Ok(())
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Stopped => f.write_str("stopped"),
            Self::DeadlineExceeded => f.write_str("stopped at its deadline"),
            Self::Failed { error } => write!(f, "failed: {}", error.join(": ")),
        }
    }
}
