//! The calls of a source, made and dropped by hand.

use towpath::Outcome;

use crate::conformance::{
    SourceRig,
    driver::{Driver, Run},
    log::{Came, Log, few},
    stand::{A_WHILE, PATIENCE, SLACK, Stand},
    suite::Verdict,
};

/// How many messages go through calls that are dropped.
const MANY: usize = 60;
/// At how many awaits calls are dropped, one after the other.
const AWAITS: usize = 7;
/// How many messages wait while few are asked for.
const SOME: usize = 20;

pub(super) async fn cancel<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    stand.put_numbers(&place, 0..MANY).await?;
    let log = Log::default();
    let mut driver = Driver::open(stand, &place, 0).await?;
    let mut run = Run::<R>::new();
    let mut turn = 0;
    let within = PATIENCE + stand.rig.promises().again + SLACK;
    let over = async || {
        turn += 1;
        let came = one_turn(&mut driver, &mut run, &log, turn).await;
        if came > 0 || !log.missing(0..MANY).is_empty() {
            return Ok(None);
        }
        // Nothing comes now: whatever is left to tell is told without a word between.
        driver.settle(&mut run, usize::MAX).await;
        let outstanding = stand.rig.outstanding(&place).await;
        Ok(outstanding.ok().filter(|outstanding| *outstanding == 0))
    };
    if stand.until(within, over).await?.is_some() {
        return Ok(());
    }
    let missing = log.missing(0..MANY);
    let outstanding = stand.rig.outstanding(&place).await;
    Err(stand.broken(format!(
        "with calls that are dropped {} messages never come, and the server holds \
         {outstanding:?} after {within:?} ({})",
        few(&missing),
        driver.error()
    )))
}

/// Receives and settles once, both cut short at some await; tells how many came.
async fn one_turn<R: SourceRig>(
    driver: &mut Driver<'_, R>,
    run: &mut Run<R>,
    log: &Log,
    turn: usize,
) -> usize {
    let (demand, polls) = (1 + turn % 5, 1 + turn % AWAITS);
    let came = driver.receive(demand, polls).await;
    let count = came.len();
    for direct in came {
        let came = log.note(direct.parcel, 0);
        run.push((direct.token, outcome(&came)));
    }
    driver.extend_in_time().await;
    if !run.is_empty() {
        driver.settle(run, 1 + turn / AWAITS % AWAITS).await;
    }
    count
}

/// Some are given back when they come for the first time.
fn outcome(came: &Came) -> Outcome {
    let given_back = came.before == 0 && came.number.is_some_and(|n| n % 7 == 0);
    if given_back {
        Outcome::retry()
    } else {
        Outcome::Done
    }
}

pub(super) async fn demand<R: SourceRig>(stand: &Stand<R>) -> Verdict {
    let place = stand.place().await?;
    stand.put_numbers(&place, 0..SOME).await?;
    let mut driver = Driver::open(stand, &place, 0).await?;
    let mut held = Run::<R>::new();
    for demand in [1, 3] {
        let asked = held.len() + demand;
        let came = driver.receive_some(demand).await?;
        stand.ensure(came.len() <= demand, || {
            format!(
                "{} messages are pushed where {demand} were asked for",
                came.len()
            )
        })?;
        held.extend(came.into_iter().map(|direct| (direct.token, Outcome::Done)));
        claims_no_more(stand, &place, asked).await?;
    }
    let settled = driver.settle_all(held).await;
    settled
        .map(drop)
        .map_err(|error| stand.broken(format!("outcomes cannot be told: {error}")))
}

/// The server has not handed out more than was asked for, and what is fetched beforehand.
///
/// It may be more than was received: of what was asked for the last may still be on its way.
async fn claims_no_more<R: SourceRig>(stand: &Stand<R>, place: &str, asked: usize) -> Verdict {
    let allowed = (asked + stand.rig.promises().prefetch) as u64;
    let look = async || {
        let claimed = stand.rig.claimed(place).await;
        let claimed = claimed.map_err(|error| stand.fault("count", &error))?;
        Ok(claimed.filter(|claimed| *claimed > allowed))
    };
    let more = stand.until(A_WHILE, look).await?;
    stand.ensure(more.is_none(), || {
        let more = more.unwrap_or_default();
        format!("{more} messages are claimed at the server, {asked} were asked for")
    })
}
