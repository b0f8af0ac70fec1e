//! Time: delays, leases, and outcomes that come too late.

use std::time::Duration;

use tokio::time::Instant;
use towpath::Outcome;

use crate::conformance::{
    Group, SourceRig,
    driver::Driver,
    log::Log,
    stand::{A_WHILE, PATIENCE, SLACK, Stand},
    suite::Verdict,
    team::Act,
};

/// For how long a message is given back; for longer where the machine took so long meanwhile
/// that the others had no chance to come before it.
const DELAYS: [Duration; 3] = [
    Duration::from_millis(1500),
    Duration::from_secs(5),
    Duration::from_secs(15),
];
/// Servers count milliseconds, and begin somewhere in one.
const GRAIN: Duration = Duration::from_millis(2);

pub(super) async fn delay<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    if !stand.rig.promises().delays {
        return Ok(());
    }
    for delay in DELAYS {
        if is_passed_over(stand, delay).await? {
            return Ok(());
        }
    }
    let longest = DELAYS[DELAYS.len() - 1];
    Err(stand.broken(format!(
        "while a message is delayed for {longest:?} nothing comes, although 2 was put in"
    )))
}

/// A message that is given back comes after its delay; whether another one came before it.
async fn is_passed_over<R: SourceRig>(stand: &Stand<R>, delay: Duration) -> Verdict<bool> {
    let place = stand.place().await?;
    stand.put_numbers(&place, 0..2).await?;
    let mut reader = stand.reader(&place, 0).await?;
    let taken = stand.take(&mut reader, 2).await?;
    let given_back = Instant::now();
    for message in taken {
        match message.number() {
            Some(0) => message.retry(delay),
            _ => message.done(),
        }
    }
    stand.put_numbers(&place, 2..3).await?;
    let mut others = Vec::new();
    let after = loop {
        let message = stand.next(&mut reader, delay + SLACK).await?;
        let number = message.number();
        message.done();
        match number {
            Some(0) => break given_back.elapsed(),
            number => others.extend(number),
        }
    };
    stand.ensure(after + GRAIN >= delay, || {
        format!("a message that was given back for {delay:?} comes after {after:?}")
    })?;
    stand.ensure(after <= delay + SLACK, || {
        format!("a message that was given back for {delay:?} comes as late as {after:?}")
    })?;
    stand.ensure(
        others.iter().all(|number| *number == 2) && others.len() <= 1,
        || format!("while a message is delayed {others:?} come, and only 2 was put in"),
    )?;
    let was_passed_over = !others.is_empty();
    if !was_passed_over {
        stand.take(&mut reader, 1).await?.remove(0).done();
    }
    stand.holds(&place, 0).await?;
    stand.closed(reader).await?;
    Ok(was_passed_over)
}

pub(super) async fn lease<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let promises = stand.rig.promises();
    let Some(lease) = promises.lease else {
        return Ok(());
    };
    let place = stand.place().await?;
    let log = Log::default();
    let work = lease * 5 / 2;
    let slow = move |_: &_| Act::Takes(work);
    let team = stand.team(&place, 0, &log, slow).await?;
    stand.put_numbers(&place, 0..4).await?;
    stand.all_came(&log, 0..4, PATIENCE).await?;
    let other = match promises.group {
        Group::Alone => None,
        _ => Some(stand.team(&place, 1, &log, slow).await?),
    };
    let all_done = || log.done().len() == 4;
    stand
        .log_shows("slow work is done", work + PATIENCE, all_done)
        .await?;
    let repeated = log.repeated();
    stand.ensure(repeated.is_empty(), || {
        format!("with leases of {lease:?} {repeated:?} come again while they are worked on")
    })?;
    stand.holds(&place, 0).await?;
    let report = stand.drained(team).await?;
    if let Some(other) = other {
        stand.drained(other).await?;
    }
    let stale = report.sources[0].settled.stale;
    stand.ensure(stale == 0, || {
        format!("{stale} outcomes are too late, although the leases were to be extended")
    })
}

pub(super) async fn fenced<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let promises = stand.rig.promises();
    let (Some(lease), true) = (promises.lease, promises.fenced) else {
        return Ok(());
    };
    if promises.group == Group::Alone {
        return Ok(());
    }
    let place = stand.place().await?;
    stand.put_numbers(&place, 0..1).await?;
    // Nobody asks this one to extend anything.
    let mut slow = Driver::open(stand, &place, 0).await?;
    let late = slow.receive_some(1).await?.remove(0);
    let mut other = stand.reader(&place, 1).await?;
    let within = lease + SLACK;
    let held = stand.next(&mut other, within).await?;

    let settled = slow.settle_all(vec![(late.token, Outcome::Done)]).await;
    let known = settled.as_ref().map_or(true, |settled| settled.stale == 1);
    stand.ensure(known, || {
        format!("an outcome that comes too late is taken for good: {settled:?}")
    })?;
    stand.keeps_holding(&place, 1).await?;
    held.retry(Duration::ZERO);
    let again = stand.next(&mut other, PATIENCE).await?;
    again.done();
    stand.holds(&place, 0).await?;
    let why = "everything is done";
    stand.nothing_comes(&mut other, A_WHILE, why).await?;
    drop(slow);
    stand.closed(other).await.map(drop)
}
