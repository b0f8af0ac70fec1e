//! Tokio's clock alone, which can be paused, and as much of it as was said.

use std::time::Duration;

use tokio::time::Instant;

use crate::layer::{
    Act,
    caller::Step,
    trial::{SLACK, Stand, Trial, Verdict},
};

use super::waits::{Wait, Waiting};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn check(trial: &Trial) -> Verdict {
    trial.play(an_hour).await?;
    trial.play(no_time).await?;
    trial.play(backoff).await?;
    trial.play(budget).await?;
    trial.play(opening).await
}

/// The inner service takes an hour.
async fn an_hour(stand: &Stand) -> Verdict {
    stand.scene("the inner service takes an hour for each call");
    stand.script.always(Act::answer().after(HOUR));
    let begun = Instant::now();
    let result = stand.result(&mut stand.caller()).await?;
    took(stand, begun, stand.expect.lasting(HOUR))?;
    let in_time = stand.expect.lasting(HOUR).0 >= HOUR || stand.expect.answers_errors;
    stand.ensure(result.is_ok() == in_time, || {
        format!("the call ends as {result:?}")
    })
}

/// The inner service answers at once.
async fn no_time(stand: &Stand) -> Verdict {
    stand.scene("the inner service answers at once");
    let begun = Instant::now();
    stand.answer(&mut stand.caller()).await?;
    took(stand, begun, (Duration::ZERO, Duration::ZERO))
}

async fn backoff(stand: &Stand) -> Verdict {
    stand.scene("the inner service fails at once, always");
    stand.script.always(Act::fail());
    let begun = Instant::now();
    drop(stand.result(&mut stand.caller()).await?);
    let most = stand.expect.longest_backoff();
    let most = stand.expect.gives_up.map_or(most, |limit| limit.min(most));
    took(stand, begun, (Duration::ZERO, most))
}

/// There is room again once the time has passed, and not at once.
async fn budget(stand: &Stand) -> Verdict {
    comes_in_time(stand, Wait::Budget, Duration::from_millis(1)).await
}

/// None is let in for as long as was said, more or less, and then one is.
async fn opening(stand: &Stand) -> Verdict {
    let lasting = Wait::Opening.lasts(&stand.expect);
    comes_in_time(stand, Wait::Opening, lasting / 2).await
}

async fn comes_in_time(stand: &Stand, wait: Wait, least: Duration) -> Verdict {
    if !wait.applies(&stand.expect) {
        return Ok(());
    }
    let lasts = wait.lasts(&stand.expect);
    if let Some(Waiting { mut caller, inside }) = wait.begin(stand).await? {
        let begun = Instant::now();
        stand.script.always(Act::answer());
        let step = stand.drive(&mut caller, lasts * 2).await?;
        drop(inside);
        stand.ensure(matches!(step, Step::Done(Ok(()))), || {
            format!("the call does not get in: {step:?}")
        })?;
        return took(stand, begun, (least, lasts));
    }
    tokio::time::sleep(lasts + SLACK).await;
    let got_in = stand.gets_in(&mut stand.caller()).await?;
    stand.ensure(got_in, || {
        format!("calls are still rejected after {lasts:?}")
    })
}

/// The time since then is neither less nor more than that.
fn took(stand: &Stand, begun: Instant, (least, most): (Duration, Duration)) -> Verdict {
    let took = begun.elapsed();
    stand.ensure(least <= took && took <= most + SLACK, || {
        format!("it takes {took:?} on tokio's clock, instead of {least:?} to {most:?}")
    })
}
