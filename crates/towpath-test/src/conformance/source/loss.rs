//! Messages whose receipts, workers or pipelines are gone.

use towpath::core::{Producer, Redelivery, Settlement};

use crate::conformance::{
    SourceRig,
    log::{Came, Log},
    stand::{A_WHILE, PATIENCE, SLACK, Stand},
    suite::Verdict,
    team::Act,
};

/// How many messages a rule puts in.
const SOME: usize = 20;
/// How many of them hang, so that they are in the hand of a worker.
const HUNG: usize = 5;

pub(super) async fn dropped<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    receipts(stand).await?;
    workers(stand).await
}

/// The reader of a stream drops messages.
async fn receipts<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    stand.put_numbers(&place, 0..SOME).await?;
    let mut reader = stand.reader(&place, 0).await?;
    for message in stand.take(&mut reader, SOME).await? {
        match message.number() {
            Some(n) if n < HUNG => drop(message),
            _ => message.done(),
        }
    }
    let mut again = Vec::new();
    for message in stand.take(&mut reader, HUNG).await? {
        again.extend(message.number());
        message.done();
    }
    again.sort_unstable();
    stand.ensure(again.iter().copied().eq(0..HUNG), || {
        format!("{again:?} come again, and 0 to {HUNG} were dropped")
    })?;
    stand.holds(&place, 0).await?;
    let why = "everything is done";
    stand.nothing_comes(&mut reader, A_WHILE, why).await?;
    stand.closed(reader).await.map(drop)
}

/// A worker dies over its messages.
async fn workers<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let log = Log::default();
    stand.put_numbers(&place, 0..SOME).await?;
    let team = stand.team(&place, 0, &log, hangs_at_first).await?;
    stand.all_came(&log, 0..HUNG, PATIENCE).await?;
    stand.workers_die(&team)?;
    stand.all_done(&log, 0..SOME, PATIENCE).await?;
    stand.holds(&place, 0).await?;
    stand.drained(team).await.map(drop)
}

fn hangs_at_first(came: &Came) -> Act {
    match came.number {
        Some(n) if n < HUNG && came.before == 0 => Act::Hangs,
        _ => Act::Done,
    }
}

pub(super) async fn killed<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let promises = stand.rig.promises();
    let again = promises.again;
    let place = stand.place().await?;
    let redelivery = stand.rig.source(&place, 0).redelivery();
    let says_so = redelivery == Redelivery::Durable;
    stand.ensure(says_so || !promises.durable, || {
        format!("messages outlive the process, and the source says {redelivery:?}")
    })?;
    let log = Log::default();
    stand.put_numbers(&place, 0..SOME).await?;
    let team = stand.team(&place, 0, &log, hangs).await?;
    let held = || log.numbers().len() >= HUNG;
    stand
        .log_shows("messages are in hand", PATIENCE, held)
        .await?;
    let in_hand = log.numbers();
    team.crash();

    let next = Log::default();
    let team = stand.team(&place, 1, &next, |_| Act::Done).await?;
    stand.all_came(&next, in_hand, again + SLACK).await?;
    stand.all_came(&next, 0..SOME, PATIENCE).await?;
    stand.holds(&place, 0).await?;
    stand.drained(team).await?;
    after_some_were_done(stand).await
}

/// What was done, and known to the server, before the kill does not come again.
async fn after_some_were_done<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    if stand.source(&place, 0).2 == Settlement::Cumulative {
        // What is done beyond the oldest that is not may come again.
        return Ok(());
    }
    let log = Log::default();
    stand.put_numbers(&place, 0..SOME).await?;
    let half = |came: &Came| match came.number {
        Some(n) if n % 2 == 0 => Act::Done,
        _ => Act::Hangs,
    };
    let team = stand.team(&place, 0, &log, half).await?;
    stand.holds(&place, SOME as u64 / 2).await?;
    let done = log.done();
    team.crash();

    let next = Log::default();
    let team = stand.team(&place, 1, &next, |_| Act::Done).await?;
    stand.holds(&place, 0).await?;
    stand.drained(team).await?;
    let twice: Vec<_> = done.intersection(&next.numbers()).copied().collect();
    stand.ensure(twice.is_empty(), || {
        format!("{twice:?} come again, and the server knew that they were done")
    })
}

fn hangs(_: &Came) -> Act {
    Act::Hangs
}
