//! What a stage measures where somebody wants to know.

use std::{sync::Mutex, time::Duration};

use crate::{Histogram, Timing, ledger::lock};

/// How long calls took and messages waited, and how busy the slots were.
#[derive(Debug)]
pub(super) struct Timed {
    pub(super) timing: Timing,
    pub(super) duration: Histogram,
    pub(super) queue_time: Histogram,
    /// `None` until a worker has said how many slots it uses. Held for a few additions, once
    /// per pass of a worker.
    busy: Mutex<Option<Busy>>,
}

/// The integral of the slots in use over the time, up to a moment.
#[derive(Debug, Default)]
struct Busy {
    total: Duration,
    in_use: usize,
    at: Duration,
}

impl Timed {
    pub(super) fn new(timing: Timing) -> Self {
        Self {
            timing,
            duration: Histogram::default(),
            queue_time: Histogram::default(),
            busy: Mutex::default(),
        }
    }

    pub(super) fn occupy(&self, before: usize, now: usize, extra: Duration, at: Duration) {
        let mut busy = lock(&self.busy);
        let busy = busy.get_or_insert_default();
        busy.total = busy.up_to(at).saturating_add(extra);
        busy.at = busy.at.max(at);
        busy.in_use = (busy.in_use + now).saturating_sub(before);
    }

    pub(super) fn busy(&self, at: Duration) -> Option<Duration> {
        lock(&self.busy).as_ref().map(|busy| busy.up_to(at))
    }
}

impl Busy {
    fn up_to(&self, at: Duration) -> Duration {
        let since = at.saturating_sub(self.at);
        let slots = u32::try_from(self.in_use).unwrap_or(u32::MAX);
        self.total.saturating_add(since.saturating_mul(slots))
    }
}
