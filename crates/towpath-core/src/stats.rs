//! What a stage counts and measures: added once per chunk, read at any time.

mod batches;
mod timed;

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use self::{batches::Batches, timed::Timed};
use crate::{BatchInfo, BatchStatus, Distribution, Reach, ReachStatus, Timing};

/// The counters of one stage, and what it measures where it is timed.
#[derive(Debug, Default)]
pub struct StageStats {
    received: AtomicU64,
    added: AtomicU64,
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    given_back: AtomicU64,
    retried: AtomicU64,
    panicked: AtomicU64,
    restarts: AtomicU64,
    lost_copies: AtomicU64,
    in_hand: AtomicU64,
    batches: OnceLock<Box<Batches>>,
    /// Only of a sink that can be out of reach.
    reach: OnceLock<Reach>,
    /// `None` without timing: a stage that is not timed reads no clock.
    timed: Option<Box<Timed>>,
}

/// The counters of one stage at one moment.
///
/// Whatever a stage has received ends here in one of these ways: *received + added = sent +
/// failed + dropped + given back + in flight*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct StageCounts {
    /// Messages (for a sink: batches' messages) taken in.
    pub received: u64,
    /// Parts that messages were split into, beyond the first of each.
    pub added: u64,
    /// Messages handed on, or written.
    pub sent: u64,
    /// Messages that failed here, panics included.
    pub failed: u64,
    /// Messages that go no further from here and have not failed: left out on purpose, or
    /// split into nothing.
    pub dropped: u64,
    /// Messages that went back to their source from here: their worker has died, or nobody
    /// takes its results any more.
    pub given_back: u64,
    /// Messages that failed here and are tried again here until they succeed, once per time:
    /// dead letters.
    pub retried: u64,
    /// Messages that failed by a panic.
    pub panicked: u64,
    /// Workers that were started again.
    pub restarts: u64,
    /// Best-effort copies that found no room.
    pub lost_copies: u64,
}

impl StageCounts {
    /// Messages that were taken in and have not left yet. Exact when nothing moves.
    pub fn in_flight(&self) -> u64 {
        (self.received + self.added).saturating_sub(self.left())
    }

    /// Messages that have left, in whatever way.
    pub(crate) fn left(&self) -> u64 {
        self.sent + self.failed + self.dropped + self.given_back
    }
}

impl StageStats {
    /// Measures as closely as `timing` says.
    pub fn new(timing: Timing) -> Self {
        let is_timed = timing != Timing::Off;
        Self {
            timed: is_timed.then(|| Box::new(Timed::new(timing))),
            ..Self::default()
        }
    }

    /// How closely the stage is to be timed.
    pub fn timing(&self) -> Timing {
        self.timed
            .as_ref()
            .map_or(Timing::Off, |timed| timed.timing)
    }

    /// Messages taken in.
    pub fn add_received(&self, count: usize) {
        add(&self.received, count);
    }

    /// Parts that messages were split into, beyond the first of each.
    pub fn add_added(&self, count: usize) {
        add(&self.added, count);
    }

    /// Messages handed on.
    pub fn add_sent(&self, count: usize) {
        add(&self.sent, count);
    }

    /// Messages that failed.
    pub fn add_failed(&self, count: usize) {
        add(&self.failed, count);
    }

    /// Messages that go no further and have not failed.
    pub fn add_dropped(&self, count: usize) {
        add(&self.dropped, count);
    }

    /// Messages that went back to their source from inside the stage.
    pub fn add_given_back(&self, count: usize) {
        if count > 0 {
            add(&self.given_back, count);
        }
    }

    /// Messages that failed and are tried again here.
    pub fn add_retried(&self, count: usize) {
        add(&self.retried, count);
    }

    /// Messages that failed by a panic; they count as failed too, elsewhere.
    pub fn add_panicked(&self, count: usize) {
        add(&self.panicked, count);
    }

    /// A worker was started again; tells how often that makes.
    pub fn add_restart(&self) -> u64 {
        self.restarts.fetch_add(1, Relaxed) + 1
    }

    /// Best-effort copies that found no room.
    pub fn add_lost_copies(&self, count: usize) {
        add(&self.lost_copies, count);
    }

    /// A batch was closed; its weight counts where batches are `weighed`.
    pub fn add_batch(&self, info: &BatchInfo, weighed: bool) {
        let batches = self.batches.get_or_init(Box::default);
        batches.add(info, weighed);
    }

    /// Whether the stage can be reached is told there. Only the first call counts.
    pub fn set_reach(&self, reach: Reach) {
        self.reach.get_or_init(|| reach);
    }

    /// Whether the stage can be reached; `None` for one that always can.
    pub fn reach(&self) -> Option<ReachStatus> {
        self.reach.get().map(Reach::status)
    }

    /// Items that wait in the hands of a worker were `before`, and are `now`.
    pub fn set_in_hand(&self, before: usize, now: usize) {
        if before != now {
            let more = (now as u64).wrapping_sub(before as u64);
            self.in_hand.fetch_add(more, Relaxed);
        }
    }

    /// Calls took so long each, where the stage is timed.
    pub fn add_duration(&self, took: Duration, calls: u64) {
        if let Some(timed) = &self.timed {
            timed.duration.add(took, calls);
        }
    }

    /// Messages waited so long each before the stage, where it is timed.
    pub fn add_queue_time(&self, took: Duration, messages: u64) {
        if let Some(timed) = &self.timed {
            timed.queue_time.add(took, messages);
        }
    }

    /// A worker has `now` so many slots in use, and had `before`, at a time since the
    /// pipeline began. `extra` is time for which slots were busy in between.
    pub fn occupy(&self, before: usize, now: usize, extra: Duration, at: Duration) {
        if let Some(timed) = &self.timed {
            timed.occupy(before, now, extra, at);
        }
    }

    /// The counters now. Exact when nothing moves.
    pub fn counts(&self) -> StageCounts {
        // What has left first: what leaves meanwhile then shows as in flight, never as lost.
        StageCounts {
            sent: self.sent.load(Relaxed),
            failed: self.failed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            given_back: self.given_back.load(Relaxed),
            added: self.added.load(Relaxed),
            received: self.received.load(Relaxed),
            retried: self.retried.load(Relaxed),
            panicked: self.panicked.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            lost_copies: self.lost_copies.load(Relaxed),
        }
    }

    /// Items that wait in the hands of the workers.
    pub fn in_hand(&self) -> u64 {
        self.in_hand.load(Relaxed)
    }

    /// How long calls took.
    pub fn duration(&self) -> Distribution {
        let timed = self.timed.as_ref();
        timed.map_or_else(Distribution::default, |timed| timed.duration.distribution())
    }

    /// How long messages waited before the stage.
    pub fn queue_time(&self) -> Distribution {
        let timed = self.timed.as_ref();
        timed.map_or_else(Distribution::default, |t| t.queue_time.distribution())
    }

    /// For how long slots were busy up to `at`, summed over all of them; `None` where nobody
    /// says.
    pub fn busy(&self, at: Duration) -> Option<Duration> {
        self.timed.as_ref()?.busy(at)
    }

    /// Its batches; `None` before the first.
    pub fn batches(&self) -> Option<BatchStatus> {
        self.batches.get().map(|batches| batches.status())
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Trigger;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_was_taken_in_and_has_not_left_is_in_flight() {
        let stats = StageStats::default();
        stats.add_received(10);
        stats.add_added(5);
        stats.add_sent(4);
        stats.add_failed(3);
        stats.add_dropped(2);
        stats.add_given_back(1);
        assert_eq!(stats.counts().in_flight(), 5);
    }

    #[test]
    fn a_stage_that_is_not_timed_measures_nothing() {
        let stats = StageStats::default();
        stats.add_duration(SECOND, 1);
        stats.add_queue_time(SECOND, 1);
        stats.occupy(0, 1, SECOND, SECOND);
        assert_eq!(stats.timing(), Timing::Off);
        assert_eq!((stats.duration().count, stats.queue_time().count), (0, 0));
        assert_eq!(stats.busy(SECOND), None);
    }

    #[test]
    fn busy_is_the_sum_over_the_slots_of_all_workers_up_to_now() {
        let stats = StageStats::new(Timing::Chunks);
        assert_eq!(stats.busy(SECOND), None, "no worker has begun");
        stats.occupy(0, 2, Duration::ZERO, SECOND);
        stats.occupy(0, 1, Duration::ZERO, 2 * SECOND);
        stats.occupy(2, 0, SECOND / 2, 4 * SECOND);
        // 2 slots for 1 s, 3 for 2 s, half a second in between, and 1 for 1 s.
        assert_eq!(stats.busy(5 * SECOND), Some(9 * SECOND + SECOND / 2));
    }

    #[test]
    fn batches_count_by_what_closed_them() {
        let stats = StageStats::default();
        assert!(stats.batches().is_none());
        let info = |size, trigger| {
            let info = BatchInfo::new("store".into(), size, trigger);
            info.with_weight(7).with_age(SECOND)
        };
        stats.add_batch(&info(4, Trigger::Count), true);
        stats.add_batch(&info(1, Trigger::Drain), false);
        let batches = stats.batches().unwrap();
        let closed: Vec<_> = batches.closed.into_iter().collect();
        assert_eq!(closed, [(Trigger::Count, 1), (Trigger::Drain, 1)]);
        assert_eq!((batches.size.count, batches.size.sum), (2, 5));
        assert_eq!((batches.weight.count, batches.weight.sum), (1, 7));
        assert_eq!(batches.age.sum, 2_000_000_000);
    }

    #[test]
    fn what_waits_in_hands_is_what_the_workers_said_last() {
        let stats = StageStats::default();
        stats.set_in_hand(0, 5);
        stats.set_in_hand(0, 3);
        stats.set_in_hand(5, 1);
        assert_eq!(stats.in_hand(), 4);
    }
}
