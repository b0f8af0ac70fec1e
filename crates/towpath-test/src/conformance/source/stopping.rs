//! Drains and stops, and what comes to the next pipeline.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;
use towpath::core::Settlement;

use crate::conformance::{
    SourceRig,
    log::{Came, Log, few},
    stand::{NOTICES, PATIENCE, SLACK, Stand},
    suite::Verdict,
    team::{Act, Team},
};

/// How many messages a rule puts in.
const MANY: usize = 100;
/// The work on one, so that there is a middle of a run.
const WORK: Duration = Duration::from_millis(5);
/// How long a stop may take that has nothing to wait for.
const AT_ONCE: Duration = Duration::from_secs(10);

pub(super) async fn drain<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let log = Log::default();
    stand.put_numbers(&place, 0..MANY).await?;
    let team = stand.team(&place, 0, &log, |_| Act::Takes(WORK)).await?;
    let some = || log.done().len() >= MANY / 4;
    stand.log_shows("some are done", PATIENCE, some).await?;
    let report = stand.drained(team).await?;
    let (done, counts) = (log.done(), report.counts);
    stand.ensure(counts.done == done.len() as u64, || {
        format!("{} are done, and the report says {counts:?}", done.len())
    })?;
    let told = report.sources[0].settled;
    stand.ensure(told.failed == 0 && told.stale == 0, || {
        format!("not every outcome is told in time: {told:?}")
    })?;
    let rest: BTreeSet<_> = (0..MANY).filter(|n| !done.contains(n)).collect();
    stand.holds(&place, rest.len() as u64).await?;

    let next = Log::default();
    let team = stand.team(&place, 1, &next, |_| Act::Done).await?;
    let within = stand.rig.promises().again + SLACK;
    stand.all_came(&next, rest.clone(), within).await?;
    stand.holds(&place, 0).await?;
    stand.drained(team).await?;
    let twice: Vec<_> = next.numbers().difference(&rest).copied().collect();
    stand.ensure(twice.is_empty(), || {
        format!("{} messages come again that were done", few(&twice))
    })?;
    all_at_once(stand).await
}

/// A drain as soon as the last message is done: nothing is left untold.
async fn all_at_once<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let log = Log::default();
    stand.put_numbers(&place, 0..MANY).await?;
    let team = stand.team(&place, 0, &log, |_| Act::Done).await?;
    let all = || log.done().len() == MANY;
    stand.log_shows("all are done", PATIENCE, all).await?;
    stand.drained(team).await?;
    stand.holds(&place, 0).await
}

pub(super) async fn stop<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let settlement = stand.source(&place, 0).2;
    let log = Log::default();
    stand.put_numbers(&place, 0..MANY).await?;
    let third_hangs = |came: &Came| match came.number {
        Some(n) if n % 3 == 0 => Act::Hangs,
        _ => Act::Done,
    };
    let team = stand.team(&place, 0, &log, third_hangs).await?;
    let some = || log.done().len() >= MANY / 10;
    stand.log_shows("some are done", PATIENCE, some).await?;
    if settlement != Settlement::Cumulative {
        all_told(stand, &place, &log).await?;
    }
    let report = stand.stopped(team, Duration::from_millis(500)).await?;
    let abandoned = report.counts.abandoned;
    stand.ensure(abandoned > 0, || {
        "messages hang at a stop, and none is given back".to_owned()
    })?;
    let done = log.done();

    let next = Log::default();
    let team = stand.team(&place, 1, &next, |_| Act::Done).await?;
    let rest: Vec<_> = (0..MANY).filter(|n| !done.contains(n)).collect();
    let within = stand.rig.promises().again + SLACK;
    stand.all_came(&next, rest, within).await?;
    stand.holds(&place, 0).await?;
    stand.drained(team).await?;
    let twice: Vec<_> = done.intersection(&next.numbers()).copied().collect();
    let may_repeat = settlement == Settlement::Cumulative;
    stand.ensure(may_repeat || twice.is_empty(), || {
        format!("{} messages come again that were done", few(&twice))
    })
}

/// The server knows all that is done: nothing more comes to be done, as all hands hang.
async fn all_told<R: SourceRig>(stand: &Stand<R>, place: &str, log: &Log) -> Verdict {
    let told = async || {
        let left = (MANY - log.done().len()) as u64;
        let outstanding = stand.rig.outstanding(place).await;
        Ok(outstanding.ok().filter(|outstanding| *outstanding == left))
    };
    let told = stand.until(PATIENCE, told).await?;
    stand.ensure(told.is_some(), || {
        let done = log.done().len();
        format!("{done} messages are done, and the server does not know of all")
    })
}

pub(super) async fn stop_in_time<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let team = idle(stand, &place, 0).await?;
    let begun = Instant::now();
    stand.drained(team).await?;
    let took = begun.elapsed();
    stand.ensure(took <= AT_ONCE, || {
        format!("a pipeline that waits for messages takes {took:?} to stop")
    })?;
    if !stand.rig.has_server() {
        return Ok(());
    }
    let team = idle(stand, &place, 1).await?;
    stand.kill().await?;
    stand.is_lost(&team).await?;
    stand.stopped(team, Duration::from_secs(2)).await?;
    stand.restart().await?;
    with_outcomes_to_tell(stand, &place).await
}

/// A pipeline that has had a message and waits for the next.
async fn idle<R: SourceRig>(stand: &Stand<R>, place: &str, n: usize) -> Verdict<Team> {
    let log = Log::default();
    let team = stand.team(place, n, &log, |_| Act::Done).await?;
    stand.put_numbers(place, n..n + 1).await?;
    stand.all_came(&log, [n], PATIENCE).await?;
    stand.holds(place, 0).await?;
    Ok(team)
}

/// The server goes while there are outcomes to tell: they cannot be told, and the stop ends.
async fn with_outcomes_to_tell<R: SourceRig>(stand: &Stand<R>, place: &str) -> Verdict {
    let log = Log::default();
    let slow = |_: &Came| Act::Takes(Duration::from_secs(2));
    let team = stand.team(place, 2, &log, slow).await?;
    stand.put_numbers(place, 2..7).await?;
    stand
        .log_shows("one is in hand", PATIENCE, || log.len() > 0)
        .await?;
    stand.kill().await?;
    let all_done = || log.done().len() == log.numbers().len();
    stand
        .log_shows("what is in hand is done", NOTICES, all_done)
        .await?;
    stand.stopped(team, Duration::from_secs(2)).await?;
    stand.restart().await
}
