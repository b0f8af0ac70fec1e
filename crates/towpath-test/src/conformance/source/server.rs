//! A server that is killed, hangs, or is not there.

use std::time::Duration;

use tokio::time::sleep;
use towpath::Flow;
use towpath_telemetry::health::Checks;

use crate::{
    conformance::{
        Clock, SourceRig,
        log::{Came, Log},
        stand::{NOTICES, PATIENCE, Stand, chain},
        suite::Verdict,
        team::{Act, Team},
    },
    snooze::IdleMeter,
};

/// How many messages go through while the server comes and goes: enough that there is work
/// left when it goes, also where the machine is busy.
const MANY: usize = 500;
/// How many of them hang.
const HUNG: usize = 3;
/// The work on one.
const WORK: Duration = Duration::from_millis(20);
/// For how long a source is watched that has nothing to do.
const WINDOW: Duration = Duration::from_secs(4);
/// How often a source may be called in that time: the engine calls one that fails after
/// 50 ms, 100 ms and so on.
const CALLS: u64 = 20;
/// The part of a core that a process may use that has nothing to do.
const CORES: f64 = 0.2;

impl<R: SourceRig> Stand<R> {
    /// Waits until the source says that its server is gone; what it says.
    pub(super) async fn is_lost(&self, team: &Team) -> Verdict<String> {
        let error = self
            .until(NOTICES, async || Ok(team.source().error))
            .await?;
        let error = error.ok_or_else(|| {
            let what = format!("the source has not said within {NOTICES:?} that it is lost");
            self.broken(what)
        })?;
        self.is_fit_to_be_shown(&error)?;
        Ok(error)
    }

    /// Waits until the source says that its server answers again.
    async fn is_found(&self, team: &Team) -> Verdict {
        let answers = async || Ok(team.source().error.is_none().then_some(()));
        let found = self.until(PATIENCE, answers).await?;
        self.ensure(found.is_some(), || {
            let error = team.source().error.unwrap_or_default();
            format!("{PATIENCE:?} after its server is back the source says: {error}")
        })
    }
}

pub(super) async fn reconnect<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let promises = stand.rig.promises();
    if !stand.rig.has_server() || !promises.durable {
        return Ok(());
    }
    let place = stand.place().await?;
    let log = Log::default();
    stand.put_numbers(&place, 0..MANY).await?;
    let team = stand.team(&place, 0, &log, some_hang).await?;
    reaches(stand, &log, MANY / 5).await?;
    stand.kill().await?;
    stand.restart().await?;
    reaches(stand, &log, MANY / 2).await?;
    stand.kill().await?;
    stand.is_lost(&team).await?;
    stand.restart().await?;
    stand.put_numbers(&place, MANY..MANY + 10).await?;
    let within = PATIENCE + promises.again;
    stand.all_done(&log, HUNG..MANY + 10, within).await?;
    stand.is_found(&team).await?;
    // What was in hand all the time is given back now, if the server has not taken it away.
    stand.workers_die(&team)?;
    stand.all_done(&log, 0..HUNG, within).await?;
    stand.holds_within(&place, 0, within).await?;
    stand.drained(team).await.map(drop)
}

/// Some are in hand while the server is away.
fn some_hang(came: &Came) -> Act {
    match came.number {
        Some(n) if n < HUNG && came.before == 0 => Act::Hangs,
        _ => Act::Takes(WORK),
    }
}

async fn reaches<R: SourceRig>(stand: &Stand<R>, log: &Log, count: usize) -> Verdict {
    let what = format!("{count} messages are done");
    let enough = || log.done().len() >= count;
    stand.log_shows(&what, PATIENCE, enough).await
}

pub(super) async fn frozen<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let promises = stand.rig.promises();
    if !stand.rig.has_server() {
        return Ok(());
    }
    let place = stand.place().await?;
    let log = Log::default();
    stand.put_numbers(&place, 0..MANY).await?;
    let team = stand.team(&place, 0, &log, |_| Act::Takes(WORK)).await?;
    reaches(stand, &log, MANY / 5).await?;
    if !stand.freeze().await? {
        team.crash();
        return Ok(());
    }
    let noticed = stand.is_lost(&team).await;
    stand.thaw().await?;
    noticed?;
    let within = PATIENCE + promises.again;
    stand.all_done(&log, 0..MANY, within).await?;
    stand.holds_within(&place, 0, within).await?;
    stand.drained(team).await.map(drop)
}

pub(super) async fn absent<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let promises = stand.rig.promises();
    if !stand.rig.has_server() {
        return Ok(());
    }
    let place = stand.place().await?;
    if promises.durable {
        stand.put_numbers(&place, 0..10).await?;
    }
    stand.kill().await?;
    let log = Log::default();
    let team = stand.team(&place, 0, &log, |_| Act::Done).await?;
    stand.is_lost(&team).await?;
    let health = Checks::new().readiness(&[team.handle().status()]);
    stand.ensure(!health.is_ready(), || {
        format!("ready without a server: {health:?}")
    })?;
    for finding in &health.findings {
        stand.is_fit_to_be_shown(&finding.to_string())?;
    }
    stand.restart().await?;
    stand.is_found(&team).await?;
    if promises.durable {
        stand.put_numbers(&place, 10..20).await?;
        stand.all_came(&log, 0..20, PATIENCE).await?;
        stand.holds(&place, 0).await?;
    }
    let health = Checks::new().readiness(&[team.handle().status()]);
    stand.ensure(health.is_ready(), || {
        format!("not ready with its server: {health:?}")
    })?;
    stand.drained(team).await.map(drop)
}

pub(super) async fn missing<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    if stand.rig.promises().makes_place {
        return Ok(());
    }
    let missing = format!("{}_missing", stand.place().await?);
    let (source, ..) = stand.source(&missing, 0);
    let pipeline = Flow::from(source)
        .map(|payload| R::parcel(&payload))
        .acknowledge();
    let error = match pipeline.start().await {
        // A local resource that is missing: the pipeline does not start at all.
        Err(error) => chain(&error),
        Ok(running) => {
            let handle = running.handle().clone();
            let look = async || Ok(handle.status().sources.remove(0).error);
            let error = stand.until(NOTICES, look).await?;
            handle.drain_within(Duration::from_secs(2));
            let ended = stand.within(PATIENCE, "a stop", running.join()).await?;
            drop(ended);
            error.unwrap_or_default()
        }
    };
    stand.is_fit_to_be_shown(&error)?;
    stand.ensure(error.contains(&missing), || {
        format!("the error does not name {missing}: {error}")
    })
}

pub(super) async fn quiet<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let log = Log::default();
    let team = stand.team(&place, 0, &log, |_: &Came| Act::Done).await?;
    stand.put_numbers(&place, 0..1).await?;
    stand.all_came(&log, 0..1, PATIENCE).await?;
    stand.holds(&place, 0).await?;
    is_quiet(stand, &team, "with nothing to do").await?;
    if stand.rig.has_server() {
        stand.kill().await?;
        stand.is_lost(&team).await?;
        is_quiet(stand, &team, "without its server").await?;
        stand.restart().await?;
        stand.is_found(&team).await?;
        if stand.rig.promises().durable {
            // Whatever it waits on belongs to the server that is there now.
            stand.put_numbers(&place, 1..2).await?;
            stand.all_came(&log, 1..2, PATIENCE).await?;
        }
    }
    stand.drained(team).await.map(drop)
}

async fn is_quiet<R: SourceRig>(stand: &Stand<R>, team: &Team, when: &str) -> Verdict {
    let (calls, meter) = (team.watch.calls(), IdleMeter::start());
    sleep(WINDOW).await;
    let (calls, cost) = (team.watch.calls() - calls, meter.stop(1));
    stand.ensure(calls <= CALLS, || {
        format!("{when} the source is called {calls} times in {WINDOW:?}")
    })?;
    let measured = stand.rig.clock() == Clock::Real;
    stand.ensure(!measured || cost.cores <= CORES, || {
        format!("{when} {:.0} % of a core are busy", cost.cores * 100.0)
    })
}
