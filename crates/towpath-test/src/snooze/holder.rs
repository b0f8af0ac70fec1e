//! T6: a call that hangs with something shared in hand.

use std::time::Duration;

use tokio::time::Instant;
use towpath::{Pipeline, Report};

use super::{PATIENCE, Snoozed, Subject, Touch, in_time, join, run};

/// What a stop may take beyond its deadline: tasks are dropped, outcomes told.
const EPSILON: Duration = Duration::from_secs(1);

/// T6: runs a pipeline in which calls [hang](Touch::hang) with a lock in hand until their
/// timeout gives them up, and what comes after them needs that lock.
///
/// # Errors
/// Fails when the pipeline hangs, no call did, or the lock is still held at the end.
pub async fn timed_out_holder<S: Subject>(
    build: impl FnOnce(Touch) -> S,
) -> Result<Report, Snoozed> {
    let touch = Touch::new(1, Duration::from_millis(1));
    let (report, _) = run(build(touch.clone())).await?;
    let times = touch.touches();
    if times < 2 || !touch.is_free() {
        return Err(Snoozed::Unused { times });
    }
    Ok(report)
}

/// T6: stops a pipeline in which a call [hangs](Touch::hang) with a pool of one in hand,
/// within `deadline`. The call must be dropped before the outcomes are told: the
/// acknowledger may need the pool.
///
/// # Errors
/// Fails when the pipeline takes a second longer than `deadline` to stop.
pub async fn stopped_holder(
    deadline: Duration,
    build: impl FnOnce(Touch) -> Pipeline,
) -> Result<Report, Snoozed> {
    let touch = Touch::new(1, Duration::from_millis(1));
    let running = build(touch.clone()).start().await?;
    touch.held().await;
    let begun = Instant::now();
    running.handle().drain_within(deadline);
    let report = join(running, PATIENCE).await?;
    in_time(begun.elapsed(), deadline + EPSILON)?;
    Ok(report)
}
