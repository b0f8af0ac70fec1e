//! One call through all it can wait for, and stopped at any point of that.

use tokio::time::Instant;

use crate::layer::{
    Act, Rule,
    caller::{Caller, Step},
    expect::LONG,
    trial::{Stand, Verdict},
};

/// No call has more points than this at which it could be stopped.
const MOST_POINTS: usize = 1000;

/// Makes the inner service slow at everything: ready only when it is nudged, each time,
/// failing as often as the layer tries again, each answer held.
pub(super) fn slow(stand: &Stand) {
    let failures = stand.expect.attempts.saturating_sub(1) as usize;
    stand.script.withhold();
    stand.script.always(Act::answer().held());
    stand
        .script
        .next(std::iter::repeat_n(Act::fail().held(), failures));
}

/// Drives a call through its life; `None` when it was stopped, at the point of that number.
pub(super) async fn live(
    stand: &Stand,
    caller: &mut Caller,
    last_point: Option<usize>,
) -> Verdict<Option<Step>> {
    let mut points = 0..MOST_POINTS;
    let mut stops = || points.next().is_none_or(|point| Some(point) == last_point);
    loop {
        let step = caller.step();
        if matches!(step, Step::Done(_) | Step::Panicked(_)) {
            return Ok(Some(step));
        }
        if stops() {
            return Ok(None);
        }
        if matches!(step, Step::Pending) {
            go_on(stand, caller).await?;
            if stops() {
                return Ok(None);
            }
        }
    }
}

/// Lets one thing after another happen until the caller is woken.
async fn go_on(stand: &Stand, caller: &Caller) -> Verdict {
    loop {
        if stand.woken(caller, Instant::now()).await {
            return Ok(());
        }
        if !stand.script.nudge() {
            break;
        }
    }
    let until = Instant::now() + LONG;
    if stand.woken(caller, until).await {
        return Ok(());
    }
    let what = "nothing stands in the way of a call any more, and its waker is never called";
    Err(stand.rule_broken(Rule::Wakers, what))
}
