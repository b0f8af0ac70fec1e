//! A dropped call gives back what it took, and ends.

use std::pin::pin;

use futures_util::future::select;
use tokio::time::{Instant, sleep, timeout_at};

use crate::layer::{
    Act,
    caller::{Caller, Step},
    trial::{SLACK, Stand, Trial, Verdict},
};

use super::{
    life::{live, slow},
    waits::{Wait, Waiting},
};

/// How many calls are refused in a row.
const REFUSED: usize = 5;

pub(super) async fn check(trial: &Trial) -> Verdict {
    let mut point = 0;
    while trial
        .play(async |stand: &Stand| stopped_at(stand, point).await)
        .await?
    {
        point += 1;
    }
    for wait in Wait::DOORS {
        for woken in [false, true] {
            trial
                .play(async |stand: &Stand| leaves_the_line(stand, wait, woken).await)
                .await?;
        }
        trial
            .play(async |stand: &Stand| refused(stand, wait).await)
            .await?;
    }
    for called in [false, true] {
        trial
            .play(async |stand: &Stand| first_after_opening(stand, called).await)
            .await?;
    }
    Ok(())
}

/// A call is dropped at one point of its life; whether there was such a point.
async fn stopped_at(stand: &Stand, point: usize) -> Verdict<bool> {
    stand.scene("a call is dropped half way");
    slow(stand);
    let mut caller = stand.caller();
    if live(stand, &mut caller, Some(point)).await?.is_some() {
        return Ok(false);
    }
    drop(caller);
    stand.calm().await;
    let tally = stand.script.tally();
    stand.ensure(tally.running == 0, || {
        format!("the call of the inner service goes on (dropped at point {point})")
    })?;
    stand.ensure(tally.reserved == 0, || {
        format!("an instance of the inner service is still kept ready (dropped at point {point})")
    })?;
    stand.script.open();
    if tally.calls > 0 {
        stand.refill().await;
    }
    stand.is_whole(&format!("dropped at point {point}")).await?;
    Ok(true)
}

/// One of two waiting callers is dropped, also after it was woken and before it looked:
/// the other gets in.
async fn leaves_the_line(stand: &Stand, wait: Wait, woken: bool) -> Verdict {
    if !wait.applies(&stand.expect) {
        return Ok(());
    }
    let Some(Waiting { caller, mut inside }) = wait.begin(stand).await? else {
        return Ok(());
    };
    let second = another(stand).await?;
    let other = if woken {
        stand.scene("one of two waiting calls is dropped when it was just woken");
        wait.happen(stand, &mut inside).await?;
        not_woken_first(stand, wait, caller, second).await
    } else {
        stand.scene("the first of two waiting calls is dropped");
        drop(caller);
        wait.happen(stand, &mut inside).await?;
        second
    };
    gets_in(stand, wait, other).await
}

/// One more caller that has to wait.
async fn another(stand: &Stand) -> Verdict<Caller> {
    let mut second = stand.caller();
    let step = stand.at_once(&mut second).await?;
    stand.ensure(matches!(step, Step::Pending), || {
        format!("the next one does not have to wait: {step:?}")
    })?;
    Ok(second)
}

/// Drops the caller that is woken first; the other one.
async fn not_woken_first(stand: &Stand, wait: Wait, first: Caller, second: Caller) -> Caller {
    let until = Instant::now() + wait.lasts(&stand.expect) + SLACK;
    let either = async {
        select(pin!(first.woken()), pin!(second.woken())).await;
    };
    drop(timeout_at(until, either).await);
    if second.is_due() && !first.is_due() {
        first
    } else {
        second
    }
}

async fn gets_in(stand: &Stand, wait: Wait, mut caller: Caller) -> Verdict {
    let before = stand.script.tally().calls;
    let within = wait.lasts(&stand.expect) + SLACK;
    let step = stand.drive(&mut caller, within).await?;
    let got_in = stand.script.tally().calls > before;
    stand.ensure(got_in, || {
        format!("the other one does not get in: {step:?}")
    })
}

/// The first call that may try, after none was let in for a while, is dropped: another may
/// try at once.
async fn first_after_opening(stand: &Stand, called: bool) -> Verdict {
    let wait = Wait::Opening;
    if !wait.applies(&stand.expect) {
        return Ok(());
    }
    drop(wait.begin(stand).await?);
    sleep(wait.lasts(&stand.expect) + SLACK).await;
    stand.script.always(Act::answer().held());
    let mut first = stand.caller();
    if called {
        stand.scene("the first call after none was let in is dropped while it runs");
        let got_in = stand.gets_in(&mut first).await?;
        stand.ensure(got_in, || "it does not get in".to_owned())?;
    } else {
        stand.scene("a service is ready after none was let in, and is dropped");
        first.step();
    }
    drop(first);
    stand.calm().await;
    let got_in = stand.gets_in(&mut stand.caller()).await?;
    stand.ensure(got_in, || "the next one does not get in".to_owned())
}

/// Calls that are refused take nothing.
async fn refused(stand: &Stand, wait: Wait) -> Verdict {
    if !wait.applies(&stand.expect) || !stand.expect.rejects || wait == Wait::Opening {
        return Ok(());
    }
    stand.scene("calls are refused, one after another");
    let (inside, _) = stand.let_in(stand.expect.width()).await?;
    for _ in 0..REFUSED {
        let got_in = stand.gets_in(&mut stand.caller()).await?;
        stand.ensure(!got_in, || "one more than allowed gets in".to_owned())?;
    }
    drop(inside);
    stand.calm().await;
    stand.refill().await;
    stand.is_whole("afterwards").await
}
