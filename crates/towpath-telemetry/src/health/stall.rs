//! Finds pipelines that hold messages and finish none.

use std::{collections::HashMap, time::Duration};

use towpath_core::{Phase, StageName, Status};

use super::{Ailment, Checks, Finding, Health, Level};

/// Finds pipelines in which nothing moves, by what it saw when it looked before.
///
/// It holds one line for each pipeline that it saw last. A message that is in flight from one
/// look to the next, with none that came to its end in between, has been there all the time:
/// so rare looks find a stall late, never wrongly.
#[derive(Debug, Default)]
pub struct Stalls {
    seen: HashMap<StageName, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    outcomes: u64,
    /// When it was first seen with these outcomes and something in flight.
    at: Duration,
}

impl Stalls {
    /// Nothing was seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks, and tells whether the process is alive: it is not when a pipeline is stalled as
    /// [`Checks::stalled_after`] has it.
    pub fn liveness(&mut self, checks: &Checks, statuses: &[Status]) -> Health {
        let Some(after) = checks.stall_time() else {
            return Health::of(Vec::new());
        };
        let seen = statuses.iter().filter_map(|s| Some((s, self.look(s)?)));
        let seen: HashMap<_, _> = seen.map(|(s, seen)| (&s.name, (s, seen))).collect();
        let stalled = seen
            .values()
            .filter_map(|(s, seen)| finding(s, *seen, after));
        let health = Health::of(stalled.collect());
        self.seen = seen
            .into_iter()
            .map(|(name, (_, seen))| (name.clone(), seen))
            .collect();
        health
    }

    fn look(&self, status: &Status) -> Option<Seen> {
        if status.phase == Phase::Stopped || status.counts.in_flight == 0 {
            return None;
        }
        let counts = &status.counts;
        let outcomes = [counts.done, counts.retried, counts.rejected, counts.dropped];
        let now = Seen {
            outcomes: outcomes.into_iter().fold(0, u64::wrapping_add),
            at: status.elapsed,
        };
        let before = self.seen.get(&status.name).copied();
        // A clock that went back belongs to another pipeline of that name.
        before
            .filter(|b| b.outcomes == now.outcomes && b.at <= now.at)
            .or(Some(now))
    }
}

fn finding(status: &Status, seen: Seen, after: Duration) -> Option<Finding> {
    let since = status.elapsed.saturating_sub(seen.at);
    (since >= after).then(|| Finding {
        level: Level::Critical,
        pipeline: Some(status.name.clone()),
        stage: None,
        ailment: Ailment::Stalled { since },
    })
}

#[cfg(test)]
mod tests;
