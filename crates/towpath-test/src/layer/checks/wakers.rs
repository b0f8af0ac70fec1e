//! A waker at every `Pending`: it is called when it is worth looking, and only then.

use std::time::Duration;

use tokio::time::Instant;

use crate::layer::{
    Act,
    caller::{Caller, Step},
    trial::{SLACK, Stand, Trial, Verdict},
};

use super::{
    life::{live, slow},
    waits::{Wait, Waiting},
};

/// How long nothing happens, at most.
const QUIET: Duration = Duration::from_secs(1);

/// How often a waker may be called in that time.
const MOST_WAKES: usize = 20;

pub(super) async fn check(trial: &Trial) -> Verdict {
    for wait in Wait::ALL {
        trial
            .play(async |stand: &Stand| woken(stand, wait, false).await)
            .await?;
        trial
            .play(async |stand: &Stand| woken(stand, wait, true).await)
            .await?;
    }
    trial
        .play(async |stand: &Stand| {
            stand.scene("one thing after another happens that a call waits for");
            slow(stand);
            live(stand, &mut stand.caller(), None).await.map(drop)
        })
        .await
}

/// A caller that waits is woken by what it waits for; also when nothing happens for a
/// while and it moves to another task.
async fn woken(stand: &Stand, wait: Wait, moved: bool) -> Verdict {
    if !wait.applies(&stand.expect) {
        return Ok(());
    }
    let Some(mut waiting) = wait.begin(stand).await? else {
        return Ok(());
    };
    let until = Instant::now() + wait.lasts(&stand.expect) + SLACK;
    if moved && !moves(stand, wait, &mut waiting.caller).await? {
        return Ok(());
    }
    wait.happen(stand, &mut waiting.inside).await?;
    if !stand.woken(&waiting.caller, until).await {
        return Err(stand.broken(not_woken(&mut waiting, moved)));
    }
    stand.script.always(Act::answer());
    stand.script.release_all();
    stand.end(&mut waiting.caller).await.map(drop)
}

/// Nothing happens for a while, then the caller brings another waker. Whether it still
/// waits.
async fn moves(stand: &Stand, wait: Wait, caller: &mut Caller) -> Verdict<bool> {
    let before = caller.wakes();
    let quiet = quiet_for(stand, wait);
    let step = stand.drive(caller, quiet).await?;
    let wakes = caller.wakes() - before;
    stand.ensure(wakes <= MOST_WAKES, || {
        format!("it is woken {wakes} times in {quiet:?} in which nothing happens")
    })?;
    if !matches!(step, Step::Pending) {
        return Ok(false);
    }
    caller.move_elsewhere();
    Ok(matches!(caller.poll(), Step::Pending))
}

/// As long as surely nothing happens by itself.
fn quiet_for(stand: &Stand, wait: Wait) -> Duration {
    let expect = &stand.expect;
    let lasts = match (wait, expect.rate) {
        (Wait::Backoff, _) => Some(Duration::ZERO),
        (Wait::Budget, Some((admitted, per))) => {
            Some(per / u32::try_from(admitted).unwrap_or(u32::MAX))
        }
        _ => Some(wait.lasts(expect)).filter(|lasts| !lasts.is_zero()),
    };
    let ends = [lasts, expect.timeout, expect.hedge, expect.gives_up];
    let first = ends.into_iter().flatten().min();
    first.map_or(QUIET, |first| QUIET.min(first / 2))
}

fn not_woken(waiting: &mut Waiting, moved: bool) -> &'static str {
    let goes_on = !matches!(waiting.caller.poll(), Step::Pending);
    match (moved, goes_on) {
        (false, true) => "its waker is not called although the wait is over",
        (true, true) => "only its first waker is called, not the one it gave last",
        (_, false) => "the wait should be over and is not",
    }
}
