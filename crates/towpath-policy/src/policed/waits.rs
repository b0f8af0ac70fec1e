//! What a call has waited for on its way in, and for how long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    observe::{CallObserver, WaitReason},
    policies::Waited,
};

/// So many waits of one attempt are told; more of them only count.
const MOST: usize = 32;

/// The waits before one attempt. Made by the first of them.
#[derive(Debug, Default)]
pub(super) struct Waits {
    now: Option<(WaitReason, Instant)>,
    past: Vec<(WaitReason, Instant, Instant)>,
}

/// The waits of all calls, for each reason.
#[derive(Debug, Default)]
pub(crate) struct WaitTally([Sum; WaitReason::ALL.len()]);

#[derive(Debug, Default)]
struct Sum {
    count: AtomicU64,
    nanos: AtomicU64,
}

// === impl Waits ===

impl Waits {
    /// Something is in the way. The clock is read when it was not before.
    pub(super) fn begin(&mut self, reason: WaitReason, tally: &WaitTally) {
        if self.now.is_some_and(|(known, _)| known == reason) {
            return;
        }
        let now = Instant::now();
        self.end_at(now, tally);
        self.now = Some((reason, now));
    }

    /// Nothing is in the way any more, or the wait is given up.
    pub(super) fn end(&mut self, tally: &WaitTally) {
        if self.now.is_some() {
            self.end_at(Instant::now(), tally);
        }
    }

    fn end_at(&mut self, to: Instant, tally: &WaitTally) {
        let Some((reason, from)) = self.now.take() else {
            return;
        };
        tally.add(reason, to.saturating_duration_since(from));
        if self.past.len() < MOST {
            self.past.push((reason, from, to));
        }
    }

    /// Tells of the waits that are over, once.
    #[cold]
    pub(super) fn tell(&mut self, observer: Option<&Arc<dyn CallObserver>>) {
        for (reason, from, to) in self.past.drain(..) {
            if let Some(observer) = observer {
                observer.waited(reason, from, to);
            }
        }
    }
}

// === impl WaitTally ===

impl WaitTally {
    fn add(&self, reason: WaitReason, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let sum = self.of(reason);
        sum.count.fetch_add(1, Relaxed);
        sum.nanos.fetch_add(nanos, Relaxed);
    }

    fn of(&self, reason: WaitReason) -> &Sum {
        &self.0[reason as usize]
    }

    pub(crate) fn read(&self, reason: WaitReason) -> Waited {
        let sum = self.of(reason);
        Waited {
            count: sum.count.load(Relaxed),
            time: Duration::from_nanos(sum.nanos.load(Relaxed)),
        }
    }
}
