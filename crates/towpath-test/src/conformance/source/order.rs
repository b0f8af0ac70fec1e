//! The order of messages, and how several consumers share them.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep};

use crate::conformance::{
    Group, Order, SourceRig,
    log::{Came, Log, few},
    stand::{A_WHILE, PATIENCE, SLACK, Stand},
    suite::Verdict,
    team::{Act, Team},
};

/// How many messages have to come in order.
const MANY: usize = 200;
/// How many messages are put in at once for a group.
const WAVE: usize = 64;
/// How many waves it may take until a new member has something to do.
const WAVES: usize = 30;
/// Between waves of which one member has had nothing.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the work on one takes.
const WORK: Duration = Duration::from_millis(10);

pub(super) async fn order<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let order = stand.rig.promises().order;
    if order == Order::Any {
        return Ok(());
    }
    let place = stand.place().await?;
    // As they leave the source: several workers may begin them in another order.
    let log = Log::default();
    stand.put_numbers(&place, 0..MANY / 4).await?;
    let mut reader = stand.reader(&place, 0).await?;
    for wave in 1..4 {
        let numbers = wave * MANY / 4..(wave + 1) * MANY / 4;
        stand.put_numbers(&place, numbers).await?;
    }
    while !log.missing(0..MANY).is_empty() {
        let message = stand.next(&mut reader, PATIENCE).await?;
        log.note(message.parcel().clone(), 0);
        message.done();
    }
    stand.holds(&place, 0).await?;
    stand.closed(reader).await?;
    in_order(stand, &log, order)
}

/// What comes for the first time comes in order.
fn in_order<R: SourceRig>(stand: &Stand<R>, log: &Log, order: Order) -> Verdict {
    let mut last = BTreeMap::new();
    for came in log.all().iter().filter(|came| came.before == 0) {
        let lane = match order {
            Order::Total => "",
            _ => came.parcel.key.as_str(),
        };
        let before = last.insert(lane.to_owned(), came.number);
        stand.ensure(before.is_none_or(|before| before < came.number), || {
            let before = before.flatten();
            format!("{:?} comes behind {before:?} in {lane:?}", came.number)
        })?;
    }
    Ok(())
}

pub(super) async fn group<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let promises = stand.rig.promises();
    if promises.group == Group::Alone {
        return Ok(());
    }
    let place = stand.place().await?;
    let log = Log::default();
    let slow = |_: &Came| Act::Takes(WORK);
    let first = stand.team(&place, 0, &log, slow).await?;
    let second = stand.team(&place, 1, &log, slow).await?;
    let put = shared(stand, &place, &log).await?;
    once_each(stand, &log)?;
    stand.holds(&place, 0).await?;
    once_each(stand, &log)?;
    let put = taken_over(stand, &place, put, [first, second]).await?;
    let why = "everything is done";
    let mut last = stand.reader(&place, 3).await?;
    stand.nothing_comes(&mut last, A_WHILE, why).await?;
    stand.put_numbers(&place, put..put + 1).await?;
    stand.take(&mut last, 1).await?.remove(0).done();
    stand.holds(&place, 0).await?;
    stand.closed(last).await.map(drop)
}

/// Nothing went wrong: no message has come twice.
fn once_each<R: SourceRig>(stand: &Stand<R>, log: &Log) -> Verdict {
    let repeated = log.repeated();
    let exact = stand.rig.promises().group == Group::Shares;
    stand.ensure(!exact || repeated.is_empty(), || {
        let repeated = few(&repeated);
        format!("{repeated} messages came again, or to both consumers")
    })
}

/// Puts messages in until both have had some, and all have come; tells how many.
async fn shared<R: SourceRig>(stand: &Stand<R>, place: &str, log: &Log) -> Verdict<usize> {
    let (mut put, end) = (0, Instant::now() + PATIENCE);
    while Instant::now() < end {
        stand.put_numbers(place, put..put + WAVE).await?;
        put += WAVE;
        stand.all_came(log, 0..put, PATIENCE).await?;
        if !log.of(0).is_empty() && !log.of(1).is_empty() {
            return Ok(put);
        }
        // One that has stumbled at its start has time to come.
        sleep(PAUSE).await;
    }
    let (first, second) = (log.of(0).len(), log.of(1).len());
    Err(stand.broken(format!(
        "of {put} messages one consumer has {first}, the other {second}"
    )))
}

/// One of both is killed with messages in its hand; a third one and the other take over.
async fn taken_over<R: SourceRig>(
    stand: &Stand<R>,
    place: &str,
    put: usize,
    [first, second]: [Team; 2],
) -> Verdict<usize> {
    let again = stand.rig.promises().again;
    stand.drained(second).await?;
    let log = Log::default();
    let dying = stand.team(place, 2, &log, |_| Act::Hangs).await?;
    let mut next = put;
    for _ in 0..WAVES {
        stand.put_numbers(place, next..next + WAVE).await?;
        next += WAVE;
        let some = async || Ok((log.len() > 0).then_some(()));
        if stand.until(Duration::from_secs(2), some).await?.is_some() {
            break;
        }
    }
    stand.ensure(log.len() > 0, || "a new member is given nothing".to_owned())?;
    dying.crash();
    let within = again + SLACK * 2;
    stand.holds_within(place, 0, within).await?;
    stand.drained(first).await?;
    Ok(next)
}
