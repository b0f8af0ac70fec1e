//! What each outcome means to the server.

use std::{collections::BTreeSet, time::Duration};

use crate::conformance::{
    Parcel, SourceRig,
    log::{Came, Log, few},
    reader::InHand,
    stand::{A_WHILE, PATIENCE, Stand},
    suite::Verdict,
    team::Act,
};

/// How many messages a rule puts in, where it does not matter.
const MANY: usize = 100;
/// As many as can be held in the hand.
const HANDFUL: usize = 10;

pub(super) async fn at_least_once<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let log = Log::default();
    stand.put_numbers(&place, 0..MANY / 2).await?;
    let team = stand.team(&place, 0, &log, |_| Act::Done).await?;
    stand.put_numbers(&place, MANY / 2..MANY).await?;

    stand.all_came(&log, 0..MANY, PATIENCE).await?;
    stand.holds(&place, 0).await?;
    stand.drained(team).await?;
    stand.holds(&place, 0).await?;
    let repeated = log.repeated();
    stand.ensure(repeated.is_empty(), || {
        let repeated = few(&repeated);
        format!("{repeated} messages came more than once, although nothing went wrong")
    })?;
    for came in log.all() {
        let put = came.number.filter(|n| *n < MANY).map(Parcel::numbered);
        let same =
            |put: &Parcel| (&put.key, &put.payload) == (&came.parcel.key, &came.parcel.payload);
        stand.ensure(put.as_ref().is_some_and(same), || {
            format!("{:?} comes, and what was put in is {put:?}", came.parcel)
        })?;
    }
    Ok(())
}

pub(super) async fn not_early<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    stand.put_numbers(&place, 0..HANDFUL).await?;
    let mut reader = stand.reader(&place, 0).await?;
    let mut held = stand.take(&mut reader, HANDFUL).await?;
    // What comes after them shows that the source has had the time to do something wrong.
    stand.put_numbers(&place, HANDFUL..HANDFUL + 1).await?;
    held.extend(stand.take(&mut reader, 1).await?);
    stand.keeps_holding(&place, HANDFUL as u64 + 1).await?;
    for message in held {
        message.done();
    }
    stand.holds(&place, 0).await?;
    stand.closed(reader).await.map(drop)
}

pub(super) async fn given_back<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    stand.put_numbers(&place, 0..HANDFUL).await?;
    let mut reader = stand.reader(&place, 0).await?;
    let rounds = [
        (0..HANDFUL).collect(),
        BTreeSet::from([3, 7]),
        BTreeSet::from([3]),
    ];
    for (round, expected) in rounds.iter().enumerate() {
        let back = rounds.get(round + 1).cloned().unwrap_or_default();
        let messages = stand.take(&mut reader, expected.len()).await?;
        let came: BTreeSet<_> = messages.iter().filter_map(InHand::number).collect();
        stand.ensure(came == *expected, || {
            format!("{came:?} come in round {round}, and not {expected:?}")
        })?;
        for message in messages {
            match message.number() {
                Some(number) if back.contains(&number) => message.retry(Duration::ZERO),
                _ => message.done(),
            }
        }
    }
    stand.holds(&place, 0).await?;
    let why = "everything is done";
    stand.nothing_comes(&mut reader, A_WHILE, why).await?;
    stand.closed(reader).await.map(drop)
}

pub(super) async fn over<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    let log = Log::default();
    stand.put_numbers(&place, 0..MANY).await?;
    let acts = [Act::Reject, Act::Skip, Act::Panic, Act::Done];
    let script = move |came: &Came| acts[came.number.unwrap_or_default() % acts.len()];
    let team = stand.team(&place, 0, &log, script).await?;
    stand.all_came(&log, 0..MANY, PATIENCE).await?;
    stand.holds(&place, 0).await?;
    let report = stand.drained(team).await?;
    let repeated = log.repeated();
    stand.ensure(repeated.is_empty(), || {
        let repeated = few(&repeated);
        format!("{repeated} messages came again that were rejected, left out or done")
    })?;
    let rejected = report.counts.rejected;
    stand.ensure(rejected == MANY as u64 / 2, || {
        format!("{rejected} messages are rejected, and not {}", MANY / 2)
    })
}
