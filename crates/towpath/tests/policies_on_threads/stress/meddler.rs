//! Somebody on another thread who changes what a pipeline does while it runs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::time::sleep;
use towpath::{ForcedBreaker, PipelineHandle};
use towpath_test::Outcomes;

use super::Case;
use crate::{Chance, ms, size};

/// What happens to a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Meddles {
    /// How many changes are made.
    pub(super) changes: u64,
    /// How many workers die, in between.
    pub(super) kills: u64,
    /// Stops behind so many outcomes.
    pub(super) stop_after: Option<usize>,
    /// How long it has for that; as long as it takes without.
    pub(super) within: Option<Duration>,
}

/// The highest concurrency that is set.
const MOST: u64 = 24;

impl Meddles {
    pub(super) fn ends_by_itself(&self) -> bool {
        self.stop_after.is_none()
    }

    pub(super) fn most(&self) -> usize {
        if self.changes > 0 { size(MOST) } else { 0 }
    }
}

/// Never ends: the run does.
pub(super) async fn meddle(
    handle: &PipelineHandle,
    outcomes: &Outcomes,
    case: &Case,
) -> Infallible {
    let (meddles, mut chance) = (&case.meddles, Chance::new(!case.seed));
    let changes = async {
        let mut kills = meddles.kills;
        for _ in 0..meddles.changes {
            change(handle, &mut chance);
            if kills > 0 && chance.one_in(3) {
                kills -= 1;
                let worker = size(chance.below(4));
                handle.kill_worker(stage(&mut chance), worker).unwrap();
            }
            if chance.one_in(2) {
                sleep(ms(chance.within(1, 8))).await;
            }
        }
        settle(handle);
    };
    let stop = async {
        let Some(after) = meddles.stop_after else {
            return;
        };
        outcomes.wait_for(after).await;
        match meddles.within {
            Some(within) => handle.drain_within(within),
            None => handle.drain(),
        }
    };
    tokio::join!(changes, stop);
    pending().await
}

fn stage(chance: &mut Chance) -> &'static str {
    ["first", "second"][size(chance.below(2))]
}

/// A stage may have no such policy.
fn change(handle: &PipelineHandle, chance: &mut Chance) {
    let stage = stage(chance);
    let forced = [
        ForcedBreaker::Open,
        ForcedBreaker::Closed,
        ForcedBreaker::Auto,
    ];
    match chance.below(4) {
        0 => handle
            .set_concurrency(stage, size(chance.within(1, MOST)))
            .unwrap(),
        1 => drop(handle.set_rate(stage, chance.within(1, 20_000), Duration::from_secs(1))),
        _ => drop(handle.force_breaker(stage, forced[size(chance.below(3))])),
    }
}

/// Nothing is to hold the rest up.
fn settle(handle: &PipelineHandle) {
    for stage in ["first", "second"] {
        drop(handle.set_rate(stage, 20_000, Duration::from_secs(1)));
        drop(handle.force_breaker(stage, ForcedBreaker::Auto));
    }
}
