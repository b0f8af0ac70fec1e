//! A pipeline over the source under test that does with each message what the rule says.

use std::{future::pending, panic::resume_unwind, sync::Arc, time::Duration};

use tokio::time::sleep;
use towpath::{
    BoxError, Ending, Failure, Flow, PipelineHandle, Processor, Report, Running, Source,
    core::{Settlement, SourceStatus},
    runtime::ControlError,
};

use super::{
    Parcel, SourceRig,
    log::{Came, Log},
    stand::{PATIENCE, SLACK, Stand, chain},
    suite::Verdict,
    watched::{Watch, Watched},
};
use crate::check;

/// How many messages are asked for at once: few, so that there is a middle of a run.
const MAX_DEMAND: usize = 8;

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Done at once.
    Done,
    /// Done after a while.
    Takes(Duration),
    /// Never done.
    Hangs,
    /// Given back.
    Retry,
    /// Rejected.
    Reject,
    /// Left out on purpose.
    Skip,
    /// Panics.
    Panic,
}

pub(super) type Script = Arc<dyn Fn(&Came) -> Act + Send + Sync>;

/// A pipeline that runs, as one member of the group.
pub(super) struct Team {
    pub(super) running: Running,
    pub(super) watch: Watch,
}

impl<R: SourceRig> Stand<R> {
    /// Puts parcels in.
    pub(super) async fn put(&self, place: &str, parcels: Vec<Parcel>) -> Verdict {
        let put = self.rig.put(place, parcels).await;
        put.map_err(|error| self.fault("put parcels in", &error))
    }

    /// Puts numbered parcels in.
    pub(super) async fn put_numbers(
        &self,
        place: &str,
        numbers: std::ops::Range<usize>,
    ) -> Verdict {
        self.put(place, numbers.map(Parcel::numbered).collect())
            .await
    }

    /// The source under test, watched.
    pub(super) fn source(
        &self,
        place: &str,
        member: usize,
    ) -> (Source<Watched<R::Source>>, Watch, Settlement) {
        let (watched, watch) = Watched::new(self.rig.source(place, member));
        let source = Source::new("source", watched);
        let settlement = source.settlement();
        (source, watch, settlement)
    }

    /// Starts a pipeline that does with each delivery what `script` says.
    pub(super) async fn team(
        &self,
        place: &str,
        member: usize,
        log: &Log,
        script: impl Fn(&Came) -> Act + Send + Sync + 'static,
    ) -> Verdict<Team> {
        let (source, watch, _) = self.source(place, member);
        let (log, script): (_, Script) = (log.clone(), Arc::new(script));
        let work = move |parcel: Parcel| {
            let came = log.note(parcel, member);
            let (log, script) = (log.clone(), script.clone());
            async move {
                act(script(&came)).await?;
                log.note_done(&came);
                Ok::<_, BoxError>(())
            }
        };
        let pipeline = Flow::from(source)
            .map(|payload| R::parcel(&payload))
            .process(Processor::new("work", work))
            .acknowledge()
            .max_demand(MAX_DEMAND);
        let started = self.within(PATIENCE, "the start of a pipeline", pipeline.start());
        let running = started.await?;
        let running = running.map_err(|error| {
            self.broken(format!("the pipeline does not start: {}", chain(&error)))
        })?;
        Ok(Team { running, watch })
    }

    /// Drains a pipeline and checks its books; everything it had taken is done.
    pub(super) async fn drained(&self, team: Team) -> Verdict<Report> {
        team.handle().drain_within(PATIENCE / 2);
        let report = self.ended(team, PATIENCE).await?;
        let how = &report.ending;
        // A pipeline that is idle may come to its end before it knows that it was asked to.
        let in_order = matches!(how, Ending::Stopped | Ending::Finished);
        self.ensure(in_order, || format!("a drain ends otherwise: {how}"))?;
        Ok(report)
    }

    /// Stops a pipeline by a deadline and checks its books.
    pub(super) async fn stopped(&self, team: Team, within: Duration) -> Verdict<Report> {
        team.handle().drain_within(within);
        self.ended(team, within + SLACK).await
    }

    async fn ended(&self, team: Team, within: Duration) -> Verdict<Report> {
        let Team { running, watch } = team;
        let joined = self.within(within, "a pipeline that was stopped", running.join());
        let report = joined.await?;
        let report = report.map_err(|error| self.broken(format!("no report: {error}")))?;
        check(&report);
        watch.kept()?;
        Ok(report)
    }

    /// Ends the workers of a team: what they held is given back.
    pub(super) fn workers_die(&self, team: &Team) -> Verdict {
        team.kill_workers()
            .map_err(|error| self.broken(format!("no worker dies: {error}")))
    }

    /// Waits until the server holds so many messages that are not done.
    pub(super) async fn holds(&self, place: &str, expected: u64) -> Verdict {
        self.holds_within(place, expected, PATIENCE).await
    }

    pub(super) async fn holds_within(
        &self,
        place: &str,
        expected: u64,
        within: Duration,
    ) -> Verdict {
        let mut last = String::from("nothing");
        let look = async || {
            let outstanding = self.rig.outstanding(place).await;
            last = outstanding.as_ref().map_or_else(
                |error| format!("an error: {error}"),
                |count| format!("{count} messages"),
            );
            Ok(outstanding.ok().filter(|count| *count == expected))
        };
        let found = self.until(within, look).await?;
        self.ensure(found.is_some(), || {
            format!("{last} are outstanding at the server, and not {expected}")
        })
    }

    /// The server holds so many messages that are not done, and goes on to.
    pub(super) async fn keeps_holding(&self, place: &str, expected: u64) -> Verdict {
        self.holds(place, expected).await?;
        let look = async || {
            let outstanding = self.rig.outstanding(place).await;
            let outstanding = outstanding.map_err(|e| self.fault("count", &e))?;
            Ok(Some(outstanding).filter(|count| *count != expected))
        };
        let other = self.until(super::stand::A_WHILE, look).await?;
        self.ensure(other.is_none(), || {
            let other = other.unwrap_or_default();
            format!("{other} messages are outstanding a while later, and not {expected}")
        })
    }

    /// Waits until all these numbers have come.
    pub(super) async fn all_came(
        &self,
        log: &Log,
        numbers: impl IntoIterator<Item = usize> + Clone,
        within: Duration,
    ) -> Verdict {
        let all = async || Ok(log.missing(numbers.clone()).is_empty().then_some(()));
        let came = self.until(within, all).await?;
        self.ensure(came.is_some(), || {
            let missing = log.missing(numbers);
            let missing = super::log::few(&missing);
            format!("{missing} messages have not come within {within:?}")
        })
    }

    /// Waits until the work on all these numbers has succeeded.
    pub(super) async fn all_done(
        &self,
        log: &Log,
        numbers: impl IntoIterator<Item = usize> + Clone,
        within: Duration,
    ) -> Verdict {
        let undone = || {
            let done = log.done();
            let numbers = numbers.clone().into_iter();
            numbers.filter(|n| !done.contains(n)).collect::<Vec<_>>()
        };
        let all = async || Ok(undone().is_empty().then_some(()));
        let done = self.until(within, all).await?;
        self.ensure(done.is_some(), || {
            let undone = super::log::few(&undone());
            format!("{undone} messages are not done within {within:?}")
        })
    }

    /// Waits until something holds of the log.
    pub(super) async fn log_shows(
        &self,
        what: &str,
        within: Duration,
        holds: impl Fn() -> bool,
    ) -> Verdict {
        let shown = self
            .until(within, async || Ok(holds().then_some(())))
            .await?;
        self.ensure(shown.is_some(), || format!("{what}: not within {within:?}"))
    }
}

async fn act(act: Act) -> Result<(), BoxError> {
    match act {
        Act::Done => Ok(()),
        Act::Takes(time) => {
            sleep(time).await;
            Ok(())
        }
        Act::Hangs => pending().await,
        Act::Retry => Err(Failure::retry("given back by the rule").into()),
        Act::Reject => Err("rejected by the rule".into()),
        Act::Skip => Err(Failure::drop("left out by the rule").into()),
        // Without the hook, whose backtrace takes seconds on a busy machine: longer than a lease.
        Act::Panic => resume_unwind(Box::new("the rule panics")),
    }
}

// === impl Team ===

impl Team {
    pub(super) fn handle(&self) -> &PipelineHandle {
        self.running.handle()
    }

    /// The figures of the source.
    pub(super) fn source(&self) -> SourceStatus {
        let mut status = self.handle().status();
        status.sources.remove(0)
    }

    /// Ends the workers as if they had died: what they held is given back.
    pub(super) fn kill_workers(&self) -> Result<(), ControlError> {
        let stages = self.handle().status().stages;
        let work = stages.iter().find(|stage| stage.name.as_str() == "work");
        let workers = work.map_or(1, |work| work.workers);
        (0..workers).try_for_each(|worker| self.handle().kill_worker("work", worker))
    }

    /// Ends the pipeline as a crash of its process would: nobody is told anything.
    pub(super) fn crash(self) {
        drop(self.running);
    }
}
