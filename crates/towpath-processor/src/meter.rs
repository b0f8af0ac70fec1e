//! Times the calls of one worker, as closely as its pipeline wants to know.

use std::{sync::Arc, time::Duration};

use towpath_core::{FailureContext, Ledger, StageStats, Timing};

/// Times the calls of one worker. Without timing it reads no clock.
#[derive(Debug)]
pub(crate) struct Meter {
    timing: Timing,
    ledger: Arc<Ledger>,
    stats: Arc<StageStats>,
    /// When this pass of the worker began; where each call is timed, when the call did.
    begun: Duration,
    /// When this pass began, and how many messages had been started then.
    pass: (Duration, usize),
    /// Messages of this pass that were no call, or whose call has not ended at once.
    uncounted: usize,
    /// The slots in use, as they were told last.
    in_use: usize,
    /// Whether a call was collected in this pass.
    collected: bool,
}

impl Meter {
    pub(crate) fn new(context: &FailureContext, stats: Arc<StageStats>) -> Self {
        let timing = stats.timing();
        let ledger = context.ledger.clone();
        if timing != Timing::Off {
            stats.occupy(0, 0, Duration::ZERO, ledger.now());
        }
        Self {
            timing,
            ledger,
            stats,
            begun: Duration::ZERO,
            pass: (Duration::ZERO, 0),
            uncounted: 0,
            in_use: 0,
            collected: false,
        }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.timing != Timing::Off
    }

    /// Whether each call is timed by itself.
    #[inline]
    pub(crate) fn is_each(&self) -> bool {
        self.timing == Timing::Messages
    }

    /// When what is started now has begun.
    #[inline]
    pub(crate) fn begun(&self) -> Duration {
        self.begun
    }

    /// A pass of the worker begins, which has started so many messages before.
    #[inline]
    pub(crate) fn begin_pass(&mut self, started: usize) {
        if self.is_on() {
            self.open_pass(started);
        }
    }

    #[inline(never)]
    fn open_pass(&mut self, started: usize) {
        self.begun = self.ledger.now();
        self.pass = (self.begun, started);
        self.uncounted = 0;
        self.collected = false;
    }

    /// A message was started that is no call, or whose call has not ended at once.
    #[inline]
    pub(crate) fn skip(&mut self) {
        self.uncounted += 1;
    }

    /// The call of a message that was started has not ended at once; tells when it began.
    #[inline]
    pub(crate) fn pending(&mut self) -> Duration {
        self.skip();
        self.begun
    }

    /// A call that was begun in an earlier pass, or at that time, has ended.
    #[inline]
    pub(crate) fn end(&mut self, began: Duration) {
        if self.is_on() {
            self.collect(began);
        }
    }

    #[inline(never)]
    fn collect(&mut self, began: Duration) {
        let at = if self.is_each() {
            self.ledger.now()
        } else {
            self.begun
        };
        self.stats.add_duration(at.saturating_sub(began), 1);
        self.collected = true;
    }

    /// The next message to be started is timed by itself; tells what [`ended`](Self::ended)
    /// wants to know.
    pub(crate) fn begin_call(&mut self) -> usize {
        self.begun = self.ledger.now();
        self.uncounted
    }

    /// The call of one message has ended at once, if none was counted as another thing since.
    pub(crate) fn ended(&mut self, uncounted: usize) {
        if self.uncounted == uncounted {
            let took = self.ledger.now().saturating_sub(self.begun);
            self.stats.add_duration(took, 1);
        }
    }

    /// A pass of the worker ends, with so many messages started and so many slots in use.
    #[inline]
    pub(crate) fn end_pass(&mut self, started: usize, in_use: usize) {
        if self.is_on() {
            self.close_pass(started, in_use);
        }
    }

    #[inline(never)]
    fn close_pass(&mut self, started: usize, in_use: usize) {
        let (begun, before) = self.pass;
        let started = started - before;
        if started == 0 && in_use == self.in_use && !self.collected {
            return;
        }
        let now = self.ledger.now();
        let took = now.saturating_sub(begun);
        let at_once = started.saturating_sub(self.uncounted);
        if at_once > 0 && !self.is_each() {
            let calls = u32::try_from(at_once).unwrap_or(u32::MAX);
            self.stats.add_duration(took / calls, u64::from(calls));
        }
        // What ran in this pass alone held a slot too, beside those that are known.
        let most = self.in_use.max(in_use).max(usize::from(started > 0));
        let beside = u32::try_from(most - self.in_use).unwrap_or(u32::MAX);
        let extra = took.saturating_mul(beside);
        self.stats.occupy(self.in_use, in_use, extra, now);
        self.in_use = in_use;
    }
}

impl Drop for Meter {
    /// However the worker ends, its slots are free then.
    fn drop(&mut self) {
        if self.in_use > 0 {
            let now = self.ledger.now();
            self.stats.occupy(self.in_use, 0, Duration::ZERO, now);
        }
    }
}
