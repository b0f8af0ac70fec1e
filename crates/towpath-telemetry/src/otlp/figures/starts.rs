//! Since when figures are counted.

use std::{collections::HashMap, time::Duration};

use towpath_core::Status;

/// Since when the figures of each pipeline are counted, in nanoseconds since 1970.
///
/// The time stays the same as long as the pipeline does: one that moved would say that its
/// counters have begun anew.
#[derive(Debug)]
pub(super) struct Starts {
    own: u64,
    known: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    start: u64,
    elapsed: Duration,
}

// === impl Starts ===

impl Starts {
    pub(super) fn new(own: u64) -> Self {
        Self {
            own,
            known: HashMap::new(),
        }
    }

    /// A pipeline that has run less long than before is another one of the same name.
    pub(super) fn note(&mut self, statuses: &[Status], now: u64) {
        let mut known = HashMap::with_capacity(statuses.len());
        for status in statuses {
            let name = status.name.to_string();
            let elapsed = status.elapsed;
            let before = self.known.remove(&name);
            let start = before
                .filter(|before| before.elapsed <= elapsed)
                .map_or_else(|| now.saturating_sub(nanos(elapsed)), |before| before.start);
            known.insert(name, Known { start, elapsed });
        }
        self.known = known;
    }

    /// Of the pipeline that the labels name, or of all that is counted.
    pub(super) fn of(&self, labels: &[(&'static str, String)]) -> u64 {
        let pipeline = labels.iter().find(|(name, _)| *name == "pipeline");
        pipeline
            .and_then(|(_, pipeline)| self.known.get(pipeline))
            .map_or(self.own, |known| known.start)
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}
